"""`advprune archive`: a run as one file."""

from pathlib import Path

import click

from advprune.cli.taught import Taught
from advprune.runs.archive import pack


@click.command(
    cls=Taught,
    short_help="Pack a run into one file that can be checked anywhere.",
    examples=[
        "archive results/demo -o demo.zip",
        "archive results/demo --nets -o demo.zip",
        "verify demo.zip",
    ],
    status={0: "the archive was written", 2: "there is nothing to pack"},
    more="docs/files.md",
)
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option("--nets", is_flag=True, help="With the evaluated nets.")
@click.option("--images", is_flag=True, help="With the adversarial images that were kept.")
def command(run: Path, out: Path, nets: bool, images: bool) -> None:
    """Pack a run into one file that can be checked anywhere.

    RUN is a folder such as results/demo. The archive holds its tables, verdicts per image, cards,
    findings, figures and configuration, and the hash of each. Images of datasets are left out:
    their hashes are in the cards.
    """
    packed = pack(run, out, nets=nets, images=images)
    click.echo(f"{out}: {len(packed)} files, {out.stat().st_size / 1e6:.1f} MB")
