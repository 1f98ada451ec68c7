"""How far a run is, for the terminal."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from advprune.report.records import IDENTITY, describe
from advprune.watch import times
from advprune.watch.state import DONE, FAILED, RUNNING, STATES, WAITING, Row, State
from advprune.watch.tasks import STEPS

MOST = 10  # failures that a short message names


def head(state: State) -> str:
    """One line: models by state, how long the run has gone on, how long the rest will take."""
    count = Counter(row.state for row in state.rows)
    parts = [f"{count[DONE]} of {len(state.rows)} models done"]
    parts += [f"{count[s]} {s}" for s in (RUNNING, FAILED, WAITING) if count[s]]
    return f"{state.run.layout.preset}: {', '.join(parts)}"


def elapsed(state: State) -> str:
    """Whether the run goes on, and the time it has taken in all its starts."""
    if not state.sessions:
        return "no run has left its journal here"
    end = [s.last for s in state.sessions]
    if state.alive:
        end[-1] = time.time()
    spent = sum(last - s.begun for s, last in zip(state.sessions, end, strict=True))
    starts = f" in {len(state.sessions)} starts" if len(state.sessions) > 1 else ""
    begun = time.strftime("%d %b %H:%M", time.localtime(state.sessions[-1].begun))
    goes = f"running since {begun}" if state.alive else f"not running; last started {begun}"
    return f"{goes}; {times.duration(spent)}{starts}"


def rest(state: State) -> str:
    """How long what is left will take, from the jobs that are finished."""
    jobs = Counter(task.script for task, found in state.tasks.items() if found != DONE)
    at_once = sum(found == RUNNING for found in state.tasks.values())
    return times.left(jobs, times.read(state.run.logs), at_once)


def whole(state: State) -> Group:
    """Everything: the line, jobs by step, models by method, and why models failed."""
    steps = [(task.script, found) for task, found in state.tasks.items()]
    measured = times.read(state.run.logs)
    mean = {s: times.duration(sum(v) / len(v)) for s, v in measured.items()}
    by_step = _table("Jobs", steps, [s for s in STEPS if s in dict(steps)], mean)
    methods = [(row.model.method, row.state) for row in state.rows]
    by_method = _table("Models", methods, dict.fromkeys(name for name, _ in methods))
    left = "" if state.complete else f"; {rest(state)}"
    first = Text(f"{head(state)}\n{elapsed(state)}{left}")
    return Group(first, by_step, by_method, *(Text(line) for line in failures(state.rows)))


def brief(state: State) -> list[str]:
    """A few lines for the end of a run: models by state, and the first of its failures."""
    found = failures(state.rows)
    more = [f"  … and {len(found) - MOST} more"] * (len(found) > MOST)
    return [head(state), *(f"  {line}" for line in found[:MOST]), *more]


def failures(rows: Sequence[Row]) -> list[str]:
    """A line for every model that failed."""
    return [f"failed: {name(row)}: {row.failure}" for row in rows if row.failure]


def name(row: Row) -> str:
    """A model's name as tables and notes have it."""
    values: dict[str, Any] = {key: getattr(row.model, key) for key in IDENTITY}
    return describe((values | {"sparsity": float(row.model.sparsity)}).values())


def _table(
    title: str,
    found: Sequence[tuple[str, str]],
    order: Iterable[str],
    mean: dict[str, str] | None = None,
) -> Table:
    count = Counter(found)
    table = Table(title, *STATES, box=SIMPLE_HEAD, pad_edge=False)
    if mean is not None:
        table.add_column("mean")
    for column in table.columns[1:]:
        column.justify = "right"
    for key in order:
        cells = [str(count[key, state] or "·") for state in STATES]
        table.add_row(escape(key), *cells, *([mean.get(key, "")] if mean is not None else []))
    return table
