"""`advprune site`: a run as a folder for a web server."""

from pathlib import Path

import click

from advprune.cli import checkout
from advprune.cli.leaderboard import evaluations
from advprune.cli.taught import Taught
from advprune.report import records


@click.command(
    cls=Taught,
    short_help="Write a run as a folder for a web server.",
    examples=["site results/demo", "site results/demo --out /srv/www/demo"],
    status={0: "the folder was written", 2: "there is nothing to show, or no place for it"},
    more="docs/page.md",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write; RUN/site if not given."
)
def command(run: Path, out: Path | None) -> None:
    """Write a folder that any web server shows, without anything that runs on the server.

    It holds the page as index.html, the tables and figures that it links, and a small file per
    model, from which the page shows layers, training history and cards of a model when it is asked
    for. RUN is a folder such as results/demo. An earlier site in the folder is replaced.
    """
    from advprune.report.page import site  # Altair takes a second to import

    folder = out or run / "site"
    files = evaluations(run)
    logs = run.resolve().parent.parent / "logs" / run.resolve().name
    methods = records.load_methods(checkout.method_files(checkout.find()))
    written = site.write(run, folder, files, logs, methods)
    click.echo(f"{folder}: {written} models; serve the folder, and open index.html")
