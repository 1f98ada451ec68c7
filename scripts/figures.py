"""Draw a run's figures from its tables: ranking, where methods prune, trade-offs."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from advprune.jobs import cli
from advprune.report.figures import draw, source


def main(argv: Sequence[str] | None = None) -> None:
    """Write PDF and PNG of every figure, and the sections of the page."""
    parser = cli.parser(__doc__, "models", "layers", *draw.TITLES)
    parser.add_argument("--overlap", nargs="*", type=Path, default=[], metavar="CSV")
    parser.add_argument("--figures", type=Path, required=True, metavar="DIR")
    args = parser.parse_args(argv)
    cli.open_log(args.log)
    tables = source.read(args.models, None, args.layers, args.overlap)
    args.figures.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.figures.parent, prefix=".figures-") as place:
        sections = draw.write(tables, Path(place) / "figures", ("pdf", "png"))
        shutil.rmtree(args.figures, ignore_errors=True)
        (Path(place) / "figures").rename(args.figures)
    for section in sections:
        section.write(getattr(args, section.key))


if __name__ == "__main__":
    cli.run(main)
