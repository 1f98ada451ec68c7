"""`advprune verify`: whether the results are what their cards say."""

import sys
from pathlib import Path

import click

from advprune.base.errors import UserError
from advprune.cli import checkout
from advprune.cli.taught import Taught
from advprune.report.verify import verify
from advprune.runs import archive

# no runs: numbers kept in the repository, and files of datasets
OTHERS = ("reference", "downloads")


@click.command(
    cls=Taught,
    short_help="Hash results again and compare them with their cards.",
    examples=["verify results/demo", "verify"],
    status={0: "everything matches", 1: "something does not", 2: "there is nothing to verify"},
    more="docs/provenance.md",
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
def command(runs: tuple[Path, ...]) -> None:
    """Hash results again and compare them with their cards.

    RUN is a folder such as results/demo, or an archive of one (advprune archive); without one,
    every run below results/ is looked at. Every file that does not match is named with the reason:
    changed since it was written, made from another parent than the one that is here, or not what
    follows from the evaluations.
    """
    wrong = sum(_report(run) for run in runs or _every_run())
    sys.exit(1 if wrong else 0)


def _every_run() -> list[Path]:
    """Runs of the checkout."""
    results = checkout.find() / "results"
    found = [p for p in sorted(results.glob("*")) if p.is_dir() and p.name not in OTHERS]
    if not found:
        raise UserError(f"{results}: no runs")
    return found


def _report(run: Path) -> int:
    """Print what does not match, then the count; return how many do not."""
    found = list(archive.check(run) if run.is_file() else verify(run))
    if not found:
        raise UserError(f"{run}: no results to verify")
    problems = [(path, problem) for path, problem in found if problem]
    for path, problem in problems:
        click.echo(f"{path}: {problem}")
    click.echo(f"{run}: {len(found) - len(problems)} of {len(found)} files match their provenance")
    return len(problems)
