"""Compare HO-FMN's curves with those of the nearest points that anything found."""

from collections.abc import Sequence
from pathlib import Path

from advprune.base.files import read_json
from advprune.jobs import cli
from advprune.report import records
from advprune.report.answers import best_known
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table, the figure and the page's section."""
    parser = cli.parser(__doc__, "csv", "pdf", "png", "section", lists="evaluations")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    parser.add_argument("--others", nargs="*", type=Path, default=[], metavar="JSON")
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    methods = records.known(records.load_methods(args.methods), evaluations)
    others = [row for path in args.others for model in read_json(path) for row in model]
    given = (records.names(methods), others, (args.pdf, args.png))
    frame, section = best_known.answer(evaluations, *given)
    write_csv(frame, args.csv)
    section.write(args.section)


if __name__ == "__main__":
    cli.run(main)
