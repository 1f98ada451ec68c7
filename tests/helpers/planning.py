"""What a change concerns, asked of specifications and digests in this process, without Snakemake.

The rules give Snakemake both as a job's parameters; tests/workflow/test_stale_table.py holds what
it recorded of a run against this.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from advprune.base.record import to_json
from advprune.identity.results import Result, Results
from advprune.plan import code
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from helpers.checkout import tiny_config

# what only gathers and draws has no card, and no code but its script's
PAGES = {"gather", "table", "compare", "curves", "thin_ice", "origins", "leaderboard"}
PAGES |= {"tidy", "overlap", "figures", "best_known", "agreement", "survey"}


def results(config: dict[str, Any]) -> Results:
    """The results of a configuration that have a card."""
    return Results(Protocol(load_config(config)))


def identity(result: Result) -> tuple[str, str]:
    """What tells whether a result is the one that is asked for: specification and code."""
    spec = result.asked()
    return to_json(spec), code.digest(result.script, spec)


Making = Callable[[], dict[str, Any]]  # of a configuration


@functools.cache
def behind(make: Making = tiny_config) -> dict[Result, frozenset[str]]:
    """Files of scripts/ behind the results of a run."""
    found = results(make())
    return {result: frozenset(code.behind(result.script, result.asked())) for result in found}


def with_code(path: str, make: Making = tiny_config) -> list[Result]:
    """Results of a run behind which a file of scripts/ is."""
    return [result for result, files in behind(make).items() if path in files]


def rules_with_code(path: str) -> set[str]:
    """Rules of the tiny run behind which a file of scripts/ is, those of the pages included."""
    pages = {page for page in PAGES if path in code.behind(page, None)}
    return pages | {result.script for result in with_code(path)}


def below(found: Iterable[Result], changed: Callable[[Result], bool]) -> list[Result]:
    """The results that have changed, and those that are made from them in turn."""
    again: list[Result] = []
    files: set[str] = set()
    for result in found:  # none is made from a later one
        if changed(result) or not files.isdisjoint(result.inputs.values()):
            again.append(result)
            files.update(result.files)
    return again


def planned(config: dict[str, Any]) -> list[Result]:
    """Results that a configuration makes after the tiny run: other ones, and what lies below."""
    before = {result: identity(result) for result in results(tiny_config())}
    return below(results(config), lambda result: before.get(result) != identity(result))
