"""`advprune status`: how far a run is, and its tables so far."""

import sys
from pathlib import Path

import click
from rich.console import Console

from advprune.cli.leaderboard import WIDTH_OF_FILES
from advprune.cli.taught import Taught
from advprune.plan.config import read_yaml
from advprune.watch import overview, partial
from advprune.watch.place import open_run
from advprune.watch.state import State


@click.command(
    cls=Taught,
    short_help="Say how far a run is, and write its tables so far.",
    examples=["status results/demo", "status results/demo --no-tables"],
    status={0: "nothing has failed", 1: "a model has failed", 2: "there is no such run"},
    more="docs/runs.md",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--configfile",
    type=click.Path(path_type=Path),
    help="The run's configuration; without it, the one that the run left beside its results.",
)
@click.option("--tables/--no-tables", default=True, help="Write the partial tables and page.")
@click.option("--brief", is_flag=True, help="A line, and what failed.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def command(run: Path, configfile: Path | None, tables: bool, brief: bool, quiet: bool) -> None:
    """Say how far a run is, and write its tables so far.

    RUN is a folder such as results/demo. Only files are looked at, so this works while the run goes
    on, wherever its jobs run. Printed are models and jobs that are done, running, failed and
    waiting, with the time so far and the time left as finished jobs suggest. Tables, curves
    and page of the models that are there go to RUN/partial, failed models with their reasons.
    """
    state = State(open_run(run, read_yaml(configfile) if configfile else None))
    if not quiet:
        _print(state, brief)
    folder = partial.refresh(state) if tables else None
    if folder and not quiet:
        click.echo(f"tables so far: {run / folder.name / 'leaderboard.html'}")
    sys.exit(1 if state.failures() else 0)


def _print(state: State, brief: bool) -> None:
    if brief:
        click.echo("\n".join(overview.brief(state)))
        return
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES).print(overview.whole(state))
