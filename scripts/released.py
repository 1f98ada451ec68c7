"""Gather which released files are there, and their hashes as a lock file."""

import csv
import io
from pathlib import Path

from advprune.base.files import read_json, write_json, write_text
from advprune.jobs import cli

LOCK = ("key", "file_id", "size", "sha256")


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "out", "lock", lists="fetched")
    args = parser.parse_args()
    cli.open_log(args.log)
    found = [read_json(path) for path in args.fetched]
    write_json(args.out, {entry["key"]: entry for entry in found})
    write_lock(args.lock, [entry for entry in found if entry["available"]])


def write_lock(path: Path, found: list[dict[str, str]]) -> None:
    """One line for each file that is there, in the order of their keys."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOCK, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(found, key=lambda entry: entry["key"]))
    write_text(path, text.getvalue())


if __name__ == "__main__":
    cli.run(main)
