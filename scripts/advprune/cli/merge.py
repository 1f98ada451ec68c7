"""`advprune merge`: runs of different models in one leaderboard."""

import contextlib
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from advprune.base.errors import UserError
from advprune.cli import checkout
from advprune.cli.leaderboard import WIDTH_OF_FILES
from advprune.cli.taught import Taught
from advprune.plan.config import ROOT
from advprune.report import records
from advprune.runs.merge import Run, configuration, joined, write
from advprune.runs.models import Model, models, opened

SHOWN = ("run", "platform", "device", "commit", "code")


@click.command(
    cls=Taught,
    short_help="Join runs of different models into one leaderboard.",
    examples=["merge results/pgd results/trades -o results/both", "merge a.zip b.zip -o joined"],
    status={0: "the leaderboard was written", 2: "the runs cannot be joined; the line says why"},
    more="docs/files.md",
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(path_type=Path, file_okay=False)
)
def command(runs: tuple[Path, ...], out: Path) -> None:
    """Join runs of different models into one leaderboard.

    RUNS are folders such as results/demo, or archives of them. They must have no model in common,
    and what they judged of one dataset and net must be comparable: radius, norm, images, attacks,
    width and budget. OUTPUT, a new folder, gets leaderboard (table and page), comparison, and
    origins.csv with run, machine, device, commit and digest of the code of every row.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: is there already; give a new folder")
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(opened(run)) for run in runs]
        names = [name for name, _ in places]
        if len(set(names)) < len(names):  # two people's demo: tell them apart by where they are
            names = list(map(str, runs))
        given = [
            Run(name, models(name, folder), configuration(folder))
            for name, (_, folder) in zip(names, places, strict=True)
        ]
        every = joined(given)
        methods = records.load_methods(checkout.method_files(ROOT))
        write(every, out, methods, " + ".join(run.name for run in given))
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES).print(shown(every))
    click.echo(f"{out}: {len(every)} models of {len(given)} runs")


def shown(every: list[Model]) -> Table:
    """Every model with its accuracy in the worst case and the origin of its numbers."""
    table = Table(*("Model", "Worst case, %", *(name.capitalize() for name in SHOWN)))
    for model in every:
        origin = [escape(model.origin[name]) for name in SHOWN]
        accuracy = records.percent(model.evaluation["worst_accuracy"])
        table.add_row(escape(records.describe(model.identity)), accuracy, *origin)
    return table
