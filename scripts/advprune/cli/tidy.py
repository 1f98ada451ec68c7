"""`advprune tidy`: what a run holds, and removing what nothing needs any more."""

from pathlib import Path

import click

from advprune.base.errors import UserError
from advprune.cli.taught import Taught
from advprune.runs import disk


@click.command(
    cls=Taught,
    short_help="Say what a run holds, and remove what nothing needs any more.",
    examples=["tidy results/demo", "tidy results/demo --yes"],
    status={0: "done; without --yes nothing is removed", 2: "there is no run, or one is going on"},
    more="docs/files.md",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Remove; without it, only say what would be removed.")
def command(run: Path, yes: bool) -> None:
    """Say what a run holds, and remove what nothing needs any more.

    RUN is a folder such as results/demo. Nothing becomes stale: what is removed are resume files of
    jobs that are done, what killed jobs left behind, last epochs of pretrainings, and nets before
    finetuning of models that are evaluated. The cards of removed nets stay.
    """
    for kind, (count, size) in disk.held(run).items():
        click.echo(f"{size / 1e6:10.1f} MB  {count:6d}  {kind}")
    found = disk.needless(run)
    if yes and found and disk.locked(run):
        raise UserError(f"{run}: a run is going on here; nothing was removed")
    total = 0
    for path, reason in found.items():
        total += disk.size(path)
        click.echo(f"{path}: {reason}")
        if yes:
            disk.remove(path)
    word = "removed" if yes else "can be removed (--yes)"
    click.echo(f"{run}: {len(found)} files and folders, {total / 1e6:.1f} MB, {word}")
