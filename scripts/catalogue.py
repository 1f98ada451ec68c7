"""Write docs/methods.md: the catalogue of all methods of this repository."""

from collections.abc import Sequence
from pathlib import Path

from advprune.base.files import write_text
from advprune.jobs import cli
from advprune.report import catalogue, records


def main(argv: Sequence[str] | None = None) -> None:
    """Render the methods' YAML files and the published numbers into one Markdown page."""
    parser = cli.parser(__doc__)
    parser.add_argument("--methods", nargs="+", type=Path, required=True, metavar="YAML")
    parser.add_argument("--published", type=Path, required=True, metavar="CSV")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    cards = records.load_methods(args.methods)
    write_text(args.out, catalogue.render(cards, catalogue.load_published(args.published)))


if __name__ == "__main__":
    cli.run(main)
