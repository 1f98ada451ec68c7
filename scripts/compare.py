"""Compare every method with the references, image by image over all seeds."""

from collections.abc import Sequence
from pathlib import Path

from advprune.base.files import write_text
from advprune.jobs import cli
from advprune.report import paired, records
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Write the comparison as CSV and as Markdown."""
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluations", nargs="+", type=Path, required=True, metavar="JSON")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    frame = paired.compare(evaluations)
    write_csv(frame, args.csv)
    methods = records.known(records.load_methods(args.methods), evaluations)
    write_text(args.markdown, paired.markdown(frame, records.names(methods)))


if __name__ == "__main__":
    cli.run(main)
