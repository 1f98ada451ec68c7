"""Gather findings about models into one file, a list in a fixed order."""

from advprune.base.files import read_json, write_json
from advprune.jobs import cli


def main() -> None:
    """Run the job described by the command line."""
    args = cli.parser(__doc__, "out", lists="findings").parse_args()
    cli.open_log(args.log)
    write_json(args.out, [read_json(path) for path in sorted(args.findings)])


if __name__ == "__main__":
    cli.run(main)
