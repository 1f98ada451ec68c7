"""How long jobs took, from Snakemake's benchmark files, and how long the rest will take."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from advprune.watch.tasks import STEPS

Seconds = dict[str, list[float]]  # by step


def seconds(benchmark: Path) -> float | None:
    """Seconds by the wall clock that a job took, mean of its repeats; None if it is not known."""
    try:
        head, *rows = benchmark.read_text(encoding="utf-8").splitlines()
        column = head.split("\t").index("s")
        found = fmean(float(row.split("\t")[column]) for row in rows)
    except (OSError, UnicodeDecodeError, ValueError, IndexError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def read(logs: Path) -> Seconds:
    """Seconds of every job below a run's logs, by step."""
    found: Seconds = {}
    for path in sorted(logs.glob("*/**/*.tsv")):
        if (took := seconds(path)) is not None:
            found.setdefault(path.relative_to(logs).parts[0], []).append(took)
    return found


def left(jobs: Mapping[str, int], measured: Mapping[str, Sequence[float]], at_once: int) -> str:
    """How long so many jobs by step will take, in words; steps yet to be measured are named.

    `at_once` jobs run side by side.
    """
    wanted = {step: count for step, count in jobs.items() if count > 0 and step in STEPS}
    unknown = [step for step in STEPS if step in wanted and not measured.get(step)]
    total = sum(n * fmean(measured[s]) for s, n in wanted.items() if s not in unknown)
    if not wanted:
        return "nothing left but the tables"
    if len(unknown) == len(wanted):
        return "no estimate yet"
    side = f" at {at_once} jobs at a time" if at_once > 1 else ""
    span = duration(total / max(1, at_once))
    if unknown:
        return f"more than {span} left{side}, not measured yet: {', '.join(unknown)}"
    return f"about {span} left{side}"


def duration(span: float) -> str:
    """Seconds in words: "40 s", "12 min", "3 h 05 min", "2 d 4 h"."""
    minutes = round(span / 60)
    if span < 99.5:
        return f"{span:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(span / 3600), 24)
    return f"{days} d {hours} h"
