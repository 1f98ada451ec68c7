"""`advprune figures`: a run's figures drawn again from its tables, in another size or format."""

from pathlib import Path

import click

from advprune.base.errors import UserError
from advprune.cli.taught import Taught
from advprune.report.figures import curves, draw, source
from advprune.report.figures.canvas import FORMATS, WIDTHS, Options, save


@click.command(
    cls=Taught,
    short_help="Draw a run's figures again, in another size or format.",
    examples=[
        "figures results/demo --width column --font 8 --format pdf",
        "figures results/demo --methods hydra,radmm,flyingbird --out paper",
    ],
    status={0: "the figures were written", 2: "there is nothing to draw from"},
    more="docs/reading.md",
)
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--width",
    metavar="WIDTH",
    help="column (3.5 inches), page (7.16), or a number of inches. Default: each its own.",
)
@click.option("--font", type=click.FloatRange(4, 20), default=7, help="Points; default: 7.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="May be given more than once. Default: pdf.",
)
@click.option("--methods", default="", metavar="KEYS", help="Only these, with commas between them.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("figures"),
    help="Folder; default: figures, here.",
)
def command(
    run: Path, width: str | None, font: float, formats: tuple[str, ...], methods: str, out: Path
) -> None:
    """Draw a run's figures again from its tables: nothing is computed but the pictures.

    RUN is a folder such as results/demo. Its models.csv is read, or leaderboard.csv where there is
    none, and curves.csv, layers.csv and overlap.csv where they are there. Curves highlight the
    methods that are named; the other figures hold these alone, with dense nets and references.
    """
    tables = source.of_run(run)
    keys = tuple(key.strip() for key in methods.split(",") if key.strip())
    if unknown := sorted(set(keys) - {row["method"] for row in tables.rows}):
        raise UserError(f"{run}: no method {', '.join(unknown)}")
    options = Options(_inches(width), font, keys, source.note(run))
    formats = formats or ("pdf",)
    draw.write(tables, out, formats, options)
    if any(row.get("curve") for row in tables.rows):
        curves.write_groups(tables.rows, tables.methods, out / "curves", options, formats)
        for suffix in formats:
            overview = curves.overview(tables.rows, tables.methods, options)
            save(overview, out / f"curves.{suffix}")
    found = sorted(path for path in out.rglob("*") if path.suffix[1:] in formats)
    click.echo(f"{len(found)} figures in {out}")


def _inches(width: str | None) -> float | None:
    if width is None or width in WIDTHS:
        return WIDTHS[width] if width else None
    try:
        inches = float(width)
    except ValueError:
        raise UserError(f"--width {width}: neither {', '.join(WIDTHS)} nor a number") from None
    if not 2 <= inches <= 20:
        raise UserError(f"--width {width}: from 2 to 20 inches")
    return inches
