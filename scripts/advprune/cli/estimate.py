"""`advprune estimate`: how long a run will take."""

import os
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from advprune.cli.taught import Taught
from advprune.plan.config import load_config, read_yaml
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol
from advprune.watch import estimate
from advprune.watch.place import Run, open_run
from advprune.watch.times import duration


@click.command(
    cls=Taught,
    short_help="Say how long a run will take, from the times of another.",
    examples=[
        "estimate config/digits.yaml",
        "estimate config/all.yaml --from results/pilot --jobs 8",
    ],
    status={0: "the estimate was printed", 1: "steps are missing", 2: "there is nothing to go by"},
    more="docs/runs.md",
)
@click.argument("configfile", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "pilot",
    type=click.Path(path_type=Path),
    default=Path("results/demo"),
    show_default=True,
    help="A run on the machine in question, begun at least; its logs are what counts.",
)
@click.option(
    "--from-configfile",
    "planned",
    type=click.Path(path_type=Path),
    help="That run's configuration, if an earlier version left none beside its results.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Jobs side by side; otherwise the cores of this machine over `threads`.",
)
@click.pass_context
def command(
    ctx: click.Context, configfile: Path, pilot: Path, planned: Path | None, jobs: int | None
) -> None:
    """Say how long a run will take, from the times of another.

    CONFIGFILE is the run's configuration. The jobs that the other run has finished are scaled by
    images, epochs and multiplications. A pilot with the same methods on the same machine is the
    best one; what no pilot knows is how many images will survive.
    """
    protocol = Protocol(load_config(read_yaml(configfile)))
    layout = Layout(protocol.config["preset"])
    run = Run(Path(layout.root), Path(layout.logs), protocol)
    before = open_run(pilot, read_yaml(planned) if planned else None, "--from-configfile")
    rates = estimate.measure(before)
    steps = estimate.predict(run, rates)
    Console().print(_table(steps))
    at_once = jobs or max(1, (os.cpu_count() or 1) // protocol.config["threads"])
    known = sum(step.seconds or 0.0 for step in steps)
    span = max(known / at_once, estimate.longest(run, rates))
    unknown = [step.step for step in steps if step.seconds is None]
    count = sum(step.jobs for step in steps)
    click.echo(
        f"{layout.preset}: {count} jobs of {duration(known)} together,"
        f" about {duration(span)} at {at_once} at a time"
        + (f", without {', '.join(unknown)}: {pilot} has none" if unknown else "")
    )
    if rough := [step.step for step in steps if step.rough]:
        click.echo(
            f"too rough to go by: {', '.join(rough)}; the jobs of {pilot} took hardly longer than"
            " their start, a longer pilot tells more"
        )
    ctx.exit(1 if unknown else 0)


def _table(steps: list[estimate.Step]) -> Table:
    table = Table("Step", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("jobs", "each", "together"):
        table.add_column(name, justify="right")
    for step in steps:
        each = "?" if step.seconds is None else duration(step.seconds / step.jobs)
        whole = "?" if step.seconds is None else duration(step.seconds)
        table.add_row(step.step, str(step.jobs), each, whole)
    return table
