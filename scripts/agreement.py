"""Hold a run's results beside published ones."""

from collections.abc import Sequence
from pathlib import Path

from advprune.jobs import cli
from advprune.report import catalogue, records
from advprune.report.answers import tell_agreement
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pairs, the agreement of their ranks, the figure and the page's section."""
    outputs = ("csv", "ranks", "pdf", "png", "section")
    parser = cli.parser(__doc__, "published", *outputs, lists="evaluations")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    names = records.names(records.known(records.load_methods(args.methods), evaluations))
    published = catalogue.load_published(args.published)
    files = (args.pdf, args.png)
    pairs, ranks, section = tell_agreement.answer(evaluations, names, published, files)
    write_csv(pairs, args.csv)
    write_csv(ranks, args.ranks)
    section.write(args.section)


if __name__ == "__main__":
    cli.run(main)
