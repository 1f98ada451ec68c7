"""Gather findings about models into one file, a list in a fixed order."""

from pathlib import Path

from advprune.base.files import read_json, write_json
from advprune.jobs import cli


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "out")
    # none of a net whose released files cannot be had
    parser.add_argument("--findings", type=Path, nargs="*", default=[], metavar="FILE")
    args = parser.parse_args()
    cli.open_log(args.log)
    write_json(args.out, [read_json(path) for path in sorted(args.findings)])


if __name__ == "__main__":
    cli.run(main)
