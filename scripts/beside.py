"""Write released nets beside what was published of them, as a table and for the page."""

from collections.abc import Sequence
from pathlib import Path

from advprune.jobs import cli
from advprune.report import records
from advprune.report.released import beside
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "csv", "section", lists="evaluations")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    args = parser.parse_args(argv)
    cli.open_log(args.log)
    frame = beside.table(records.load(args.evaluations, absent=True))
    write_csv(frame, args.csv)
    beside.section(frame, records.load_methods(args.methods)).write(args.section)


if __name__ == "__main__":
    cli.run(main)
