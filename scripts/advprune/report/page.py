"""The leaderboard page: one HTML file that needs neither network nor server."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from advprune.base.errors import UserError
from advprune.base.files import write_text
from advprune.evaluation.significance import FEWEST_SEEDS, LEVEL
from advprune.report.costs import COUNTS, TIMES, measured_on, milliseconds
from advprune.report.figures.curves import CAPTION
from advprune.report.marks import MARKS, marked
from advprune.report.paired import level_with_best
from advprune.report.records import (
    ACCURACIES,
    IDENTITY,
    LARGEST_SPREAD,
    Group,
    Record,
    group_of,
    percent,
    seed_spreads,
    spread_mark,
)
from advprune.report.tables import leaderboard

Costs = Mapping[tuple[Any, ...], Record]  # by the values of `IDENTITY`
NO_COSTS = dict.fromkeys([*COUNTS, *TIMES], float("nan"))
FIDELITY = {
    "code": "checked against the authors' code",
    "paper": "written from the paper",
    "reconstructed": "rebuilt: its paper was not read and there is no usable code",
}


@dataclass(frozen=True)
class Partial:
    """What a page of a run that is not complete says: one line, and the models that are not done.

    Each of those has a name, its state and step, and if it failed the reason and the log.
    """

    summary: str
    unfinished: Sequence[Record]


def write(
    path: str | Path,
    evaluations: Sequence[Record],
    methods: Mapping[str, Record],
    figures: Sequence[str | Path],
    preset: str,
    thin_ice: Sequence[str | Path] = (),
    costs: Costs | None = None,
    partial: Partial | None = None,
    made: str = "",
) -> None:
    """Write the page: all models, the PNG `figures`, and the YAMLs of the methods that were run."""
    write_text(path, render(evaluations, methods, figures, preset, thin_ice, costs, partial, made))


def render(
    evaluations: Sequence[Record],
    methods: Mapping[str, Record],
    figures: Sequence[str | Path],
    preset: str,
    thin_ice: Sequence[str | Path] = (),
    costs: Costs | None = None,
    partial: Partial | None = None,
    made: str = "",
) -> str:
    """Return the page's HTML; equal input gives equal text. `made` is `origins.summary`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "quantity": quantity, "ms": milliseconds}
    environment.filters["known"] = pd.notna
    table = leaderboard(evaluations).to_dict("records")
    level = level_with_best(evaluations)
    rows = [_row(row, methods.get(row["method"], {}), level, costs or {}) for row in table]
    spreads = seed_spreads(table)
    for row in rows:
        spread = spreads[group_of(row), row["method"]]
        row["spread"] = spread_mark(spread) and percent(spread)
    for before, row in pairwise(rows):
        row["kind"] += " first" * (group_of(before) != group_of(row))
    used = sorted({row["method"] for row in table})
    return environment.get_template("page.html.j2").render(
        preset=preset,
        partial=partial,
        made=made,
        runs=_runs(table),
        rows=rows,
        accuracies=ACCURACIES,
        filters=_filters(rows),
        flagged=sum(row["status"] != "ok" for row in table),
        figures=[_figure(Path(path)) for path in figures],
        caption=CAPTION,
        thin_ice=[_figure(Path(path)) for path in thin_ice],
        measured=measured_on((costs or {}).values()),
        batches=sorted({int(row["batch"]) for row in (costs or {}).values()}),
        fidelity=FIDELITY,
        marks=MARKS,
        fewest=FEWEST_SEEDS,
        error=f"{100 * LEVEL:g}",
        widest=f"{100 * LARGEST_SPREAD:g}",
        rechecked=[
            row for row in rows if not pd.isna(row["hofmn_recovered"]) and row["hofmn_recovered"]
        ],
        methods=[_method(key, methods.get(key, {})) for key in used],
    )


def quantity(count: Any) -> str:
    """Format a count with three digits and k, M or G; a dash where there is none."""
    if pd.isna(count):
        return "–"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            scaled = count / factor
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {unit}"
    return str(count)


def _row(
    row: Record, method: Record, level: Mapping[tuple[Group, str], str], costs: Costs
) -> Record:
    """Add what only the page shows: the method's fields and the text that the search looks in."""
    kind = "flagged" if row["status"] != "ok" else "dense" if row["structure"] == "none" else ""
    stage = method.get("stage", "")
    if row["structure"] == "none" and stage != "external":
        stage = "dense"
    shown = {
        "name": method.get("name", row["method"]),
        "stage": stage,
        "fidelity": method.get("fidelity", ""),
        "kind": kind,
        "level": level.get((group_of(row), row["method"]), "") if row["status"] == "ok" else "",
        "marked": marked(row),
        "removed": f"{100 * row['sparsity']:g} %",
        "cost": costs.get(tuple(row[key] for key in IDENTITY), NO_COSTS),
    }
    texts = ("method", "dataset", "arch", "structure", "status", "reason", "warnings", "marks")
    search = [*(row[key] for key in texts), *(str(v) for k, v in shown.items() if k != "cost")]
    return row | shown | {"search": " ".join(search).lower()}


def _runs(table: Sequence[Record]) -> list[Record]:
    """List what was run: one entry per dataset and threat, with its architectures and seeds."""
    runs: dict[tuple[Any, ...], Record] = {}
    for row in table:
        threat = tuple(row[key] for key in ("dataset", "norm", "eps_text", "images"))
        run = runs.setdefault(
            threat, {"threat": threat, "archs": set(), "seeds": set(), "models": 0}
        )
        run["archs"].add(row["arch"])
        run["seeds"].add(row["seed"])
        run["models"] += 1
    return [run | {k: sorted(run[k]) for k in ("archs", "seeds")} for run in runs.values()]


def _filters(rows: Sequence[Record]) -> list[tuple[str, str, list[str]]]:
    """List (key, label, values in table order) of the columns in which the rows differ."""
    labels = {
        "dataset": "Dataset",
        "arch": "Architecture",
        "structure": "Structure",
        "removed": "Sparsity",
        "stage": "Stage",
    }
    values = {key: list(dict.fromkeys(row[key] for row in rows)) for key in labels}
    return [(key, label, values[key]) for key, label in labels.items() if len(values[key]) > 1]


def _figure(path: Path) -> Record:
    """Embed a PNG as a data address."""
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:
        raise UserError(f"{path}: no such figure") from None
    return {"title": path.stem, "source": f"data:image/png;base64,{content}"}


def _method(key: str, method: Record) -> Record:
    """Select a method's fields for the page; only web addresses become links."""
    citation = method.get("citation") or {}
    url = str(citation.get("url", ""))
    return {
        "key": key,
        "name": method.get("name", key),
        "stage": method.get("stage", ""),
        "fidelity": method.get("fidelity", ""),
        "taxonomy": {k: str(v) for k, v in (method.get("taxonomy") or {}).items()},
        "citation": {k: citation.get(k, "") for k in ("title", "authors", "venue", "year")},
        "url": url if url.startswith(("https://", "http://")) else "",
        "deviations": method.get("deviations") or [],
    }
