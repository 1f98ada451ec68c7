"""`advprune compare`: two runs of the same models."""

import sys
from pathlib import Path

import click
import pandas as pd

from advprune.cli.taught import Taught
from advprune.report.records import ACCURACIES, IDENTITY, describe
from advprune.report.tables import write_csv
from advprune.runs import compare
from advprune.runs.models import listed, models, opened


@click.command(
    cls=Taught,
    short_help="Compare two runs of the same models, image by image.",
    examples=[
        "compare results/here results/there",
        "compare mine.zip theirs.zip --flips flips.csv",
    ],
    status={0: "every verdict is the same", 1: "some differ", 2: "there is nothing to compare"},
    more="docs/files.md",
)
@click.argument("first", type=click.Path(path_type=Path, exists=True))
@click.argument("second", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--flips", type=click.Path(path_type=Path, dir_okay=False), help="Write every flip here (CSV)."
)
def command(first: Path, second: Path, flips: Path | None) -> None:
    """Compare two runs of the same models, image by image.

    FIRST and SECOND are folders such as results/demo, or archives of them. Of every model that both
    have: how its accuracies differ, and how many images are robust in one run alone (lost in the
    second, or gained). Below, what differs in the cards of how many models: settings, machine,
    versions, images and code.
    """
    with opened(first) as one, opened(second) as other:
        mine, theirs = models(*one), models(*other)
        pairs = compare.common(mine, theirs)
        for name, own, rest in ((first, mine, theirs), (second, theirs, mine)):
            if alone := sorted(own.keys() - rest.keys(), key=str):
                click.echo(f"only in {name}: {listed(alone)}")
        table, changed = compare.compared(pairs)
        for row in table.to_dict("records"):
            click.echo(_line(row))
        for text, count in compare.cards(pairs):
            click.echo(f"{text}  ({count} of {len(pairs)} models)")
        if flips is not None:
            write_csv(changed, flips)
    images = int(table["images"].sum())
    click.echo(f"{len(changed)} of {images} verdicts differ, in {_models(changed)} models")
    sys.exit(1 if len(changed) else 0)


def _line(row: dict[str, float]) -> str:
    """One model: differences in points of percentage, images lost and gained."""
    points = ", ".join(
        f"{label} {100 * row[f'{name}_difference']:+.1f}" for name, label in ACCURACIES.items()
    )
    flipped = f"{row['lost']} lost and {row['gained']} gained of {row['images']} images"
    return f"{describe(row[key] for key in IDENTITY)}: {points} points; {flipped}"


def _models(changed: pd.DataFrame) -> int:
    return len(changed[IDENTITY].drop_duplicates())
