"""Gather evaluations into one file, a list in a fixed order."""

from pathlib import Path

from advprune.base.files import read_json, write_json
from advprune.jobs import cli


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    write_json(args.out, [read_json(path) for path in sorted(args.evaluations)])


if __name__ == "__main__":
    cli.run(main)
