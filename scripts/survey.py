"""Answer the survey's questions: the best, what they share, what traits change, what goes wrong."""

from collections.abc import Sequence
from pathlib import Path

from advprune.jobs import cli
from advprune.report import records
from advprune.report.answers import tell_survey
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Write the four tables, the figure and the page's section."""
    tables = ("effects", "top", "shared", "issues")
    parser = cli.parser(__doc__, *tables, "pdf", "png", "section", lists="evaluations")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    methods = records.known(records.load_methods(args.methods), evaluations)
    found, section = tell_survey.answer(evaluations, methods, (args.pdf, args.png))
    for name in tables:
        write_csv(found[name], getattr(args, name))
    section.write(args.section)


if __name__ == "__main__":
    cli.run(main)
