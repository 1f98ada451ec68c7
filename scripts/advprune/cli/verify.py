"""`advprune verify`: whether the results are what their cards say."""

import sys
from collections import Counter
from pathlib import Path

import click

from advprune.base.errors import UserError
from advprune.cli import checkout
from advprune.cli.taught import Taught
from advprune.identity.results import Result, Results
from advprune.plan.config import load_config, read_yaml
from advprune.plan.protocol import Protocol
from advprune.report.verify import below, kind, verify
from advprune.runs import archive

# no runs: numbers kept in the repository, and files of datasets
OTHERS = ("reference", "downloads")
SAVED = "configuration.yaml"  # in a run's folder


@click.command(
    cls=Taught,
    short_help="Hash results again and compare them with their cards.",
    examples=[
        "verify results/demo",
        "verify",
        "verify results/demo --configfile config/demo.yaml",
    ],
    status={0: "everything matches", 1: "something does not", 2: "there is nothing to verify"},
    more="docs/provenance.md",
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option(
    "--configfile",
    type=click.Path(path_type=Path),
    help="The run's configuration; without it, the one that was saved with the run.",
)
def command(runs: tuple[Path, ...], configfile: Path | None) -> None:
    """Hash results again and compare them with their cards.

    RUN is a folder such as results/demo, or an archive of one (advprune archive); without one,
    every run below results/ is looked at. Every file that does not match is named with the reason:
    changed since it was written, made from another parent than the one that is here, of other
    settings than the configuration's, or not what follows from the evaluations.
    """
    wrong = sum(_report(run, configfile) for run in runs or _every_run())
    sys.exit(1 if wrong else 0)


def _every_run() -> list[Path]:
    """Runs of the checkout."""
    results = checkout.find() / "results"
    found = [p for p in sorted(results.glob("*")) if p.is_dir() and p.name not in OTHERS]
    if not found:
        raise UserError(f"{results}: no runs")
    return found


def _report(run: Path, configfile: Path | None) -> int:
    """Print what does not match, then the count; return how many do not."""
    if run.is_file():
        if configfile:
            raise UserError(f"{run}: an archive; settings are compared in a run's folder alone")
        settings, found = "", [(Path(name), problem) for name, problem in archive.check(run)]
    else:
        saved = run / SAVED
        chosen = configfile or (saved if saved.is_file() else None)
        asked = list(Results(Protocol(load_config(read_yaml(chosen))))) if chosen else []
        found = list(verify(run, asked))
        settings = _compared(run, chosen, asked, [path for path, _ in found])
    if not found:
        raise UserError(f"{run}: no results to verify")
    problems = [(path, problem) for path, problem in found if problem]
    for path, problem in problems:
        click.echo(f"{path}: {problem}")
    counts = Counter(kind(path) for path, _ in found)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    matching = f"{len(found) - len(problems)} of {len(found)} files match their provenance"
    click.echo(f"{run}: {matching} ({kinds}){settings}")
    return len(problems)


def _compared(run: Path, chosen: Path | None, asked: list[Result], found: list[Path]) -> str:
    """What to add where settings were not compared, or not of all files."""
    if chosen is None:
        return "; settings were not compared (--configfile)"
    files = {below(run, name) for result in asked for name in result.files}
    others = sum(path not in files and kind(path) != "summaries" for path in found)
    return f"; {others} of no job of {chosen}" if others else ""
