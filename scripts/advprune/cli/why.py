"""`advprune why`: which module or setting made results stale."""

from collections import defaultdict
from pathlib import Path

import click

from advprune.base.errors import UserError
from advprune.cli.taught import Taught
from advprune.plan.config import load_config, read_yaml
from advprune.plan.protocol import Protocol
from advprune.report.why import by_place, cards, reasons


@click.command(
    cls=Taught,
    short_help="Say which module or setting made results stale.",
    examples=[
        "why results/demo",
        "why results/demo --configfile config/demo.yaml",
        "why results/demo/digits/resnet18/hydra/unstructured-0.9/seed0/checkpoint.safetensors",
    ],
    status={0: "nothing has changed", 1: "something has", 2: "there is no card to compare with"},
    more="docs/staleness.md",
)
@click.argument("place", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--configfile",
    type=click.Path(path_type=Path),
    help="The run's configuration; without it, settings are not compared.",
)
@click.pass_context
def command(ctx: click.Context, place: Path, configfile: Path | None) -> None:
    """Say which module or setting made results stale.

    PLACE is a result with a card (any but tables and pages) or a folder of them.
    What its card says it was made by is compared with the code, and with the configuration if one
    is given. Every difference is printed with the number of results that it concerns. Results
    without a card are made again when those before them are.
    """
    results = None
    if configfile is not None:
        results = by_place(Protocol(load_config(read_yaml(configfile))))
    found = list(cards(place))
    if not found:
        raise UserError(f"{place}: no cards")
    concerned: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        for reason in reasons(path, results):
            concerned[reason].append(path)
    for reason, paths in sorted(concerned.items()):
        click.echo(f"{reason}  ({len(paths)} of {len(found)} results)")
    if not concerned:
        settings = "" if results else "; settings were not compared (--configfile)"
        click.echo(f"{place}: {len(found)} results are as the code makes them now{settings}")
    ctx.exit(1 if concerned else 0)
