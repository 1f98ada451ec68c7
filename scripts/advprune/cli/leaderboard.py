"""`advprune leaderboard`: a run's table in the terminal."""

import sys
from pathlib import Path

import click
from rich.console import Console

from advprune.base.errors import UserError
from advprune.cli.taught import Taught
from advprune.report import records, tables

# a file has no width of its own, and the default would fold the table
WIDTH_OF_FILES = 110


@click.command(
    cls=Taught,
    short_help="Print a run's leaderboard.",
    examples=["leaderboard results/demo"],
    status={0: "the table was printed", 2: "the run has no evaluations"},
    more='README.md, "What the numbers mean"; docs/reliability.md',
)
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Print the leaderboard of a run to the terminal.

    RUN is a folder such as results/demo. While a run is under way, the models that have been
    evaluated so far are shown. A mark ! stands before nets that missed their target or collapsed,
    a ? before those whose verdicts are possibly unreliable; both are explained below the table.
    """
    frame = tables.leaderboard(records.load(evaluations(run), absent=True))
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES).print(tables.console(frame))


def evaluations(run: Path) -> list[Path]:
    """The gathered evaluations of a run, and single ones where nothing was gathered yet."""
    files: list[Path] = []
    for folder in sorted(run.glob("*/*/")):
        gathered = folder / "evaluations.json"
        single = sorted(folder.glob("*/*/seed*/evaluation.json"))
        files += [gathered] if gathered.exists() else single
    if not files:
        raise UserError(f"{run}: no evaluations")
    return files
