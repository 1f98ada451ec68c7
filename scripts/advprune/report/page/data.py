"""The page's data, as its scripts read it: columns, so that 1,800 models stay small.

Accuracies are in per cent with one decimal, as they are shown; exact numbers are in the CSV files.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from advprune.base.errors import UserError
from advprune.report.costs import COUNTS, TIMES
from advprune.report.page import tags
from advprune.report.page.content import Content
from advprune.report.page.methods import described
from advprune.report.paired import level_with_best
from advprune.report.records import (
    ACCURACIES,
    IDENTITY,
    Group,
    Identity,
    Record,
    across_seeds,
    group_title,
    groups,
    seed_spread,
)
from advprune.report.tables import leaderboard

SIDES = ("accuracy", "low", "high")
SHARES = (
    *("disagreement", "hofmn_missed", "autoattack_missed"),
    *("pgd20_best", "pgd20_last", "clean_last"),
)
KEPT = (
    *("seed", "status", "reason", "warnings", "nonzero", "params", "macs", "effective_macs"),
    *("epochs", "best_epoch", "final_epochs", "hofmn_recovered"),
)
DISTANCES = ("distance_before", "distance_after")
ORIGINS = ("commit", "dirty", "device", "first_date", "last_date", "width")
# of a row: what its table shows and by which it can be sorted
MEANS = ("clean", "autoattack", "hofmn", "worst")
AVERAGED = ("pgd20_best", "pgd20_last", "disagreement", "nonzero", "macs", "effective_macs")

Columns = dict[str, list[Any]]


def of(content: Content) -> dict[str, Any]:
    """All that the page shows of models: `methods`, `groups`, `models` and `rows`.

    A row is a method in a group; its `models` are places in the columns of `models`. Dense nets
    are rows of every group of their dataset and net, and first in it. Equal content gives equal
    data, whatever the order of the evaluations.
    """
    table = leaderboard(content.evaluations).to_dict("records")
    whole = {tuple(e["model"][key] for key in IDENTITY): e for e in content.evaluations}
    place = {_identity(row): i for i, row in enumerate(table)}
    methods = described(content)
    grouped = groups(table)
    level = level_with_best(content.evaluations)
    rows: list[Record] = []
    shown: list[Record] = []
    for number, (group, members) in enumerate(grouped.items()):
        curves = [c for row in members if (c := whole[_identity(row)].get("curve"))]
        if any(c["eps"] != curves[0]["eps"] for c in curves):
            raise UserError(f"{group_title(group)}: the curves are on different grids of eps")
        shown.append(_group(group, members[0], curves))
        found = [
            _row(own, place, level.get((group, method), ""), whole)
            | {"group": number, "method": methods.keys.index(method)}
            for method, own in _seeds(members).items()
        ]
        rows += sorted(found, key=lambda r: (not r["dense"], -_number(r["worst"]), r["method"]))
    return {
        "preset": content.preset,
        "methods": methods.entries,
        "groups": shown,
        "models": columns(_model(row, whole[_identity(row)], content) for row in table),
        "rows": columns(rows),
    }


def order(content: Content) -> list[Identity]:
    """Identities of the models, in the order of the columns of `models`."""
    return [_identity(row) for row in leaderboard(content.evaluations).to_dict("records")]


def columns(rows: Iterable[Record]) -> Columns:
    """Rows as columns; a column in which all values are missing is left out."""
    listed = list(rows)
    names = dict.fromkeys(key for row in listed for key in row)
    found = {name: [clean(row.get(name)) for row in listed] for name in names}
    return {name: column for name, column in found.items() if any(_there(v) for v in column)}


def to_json(data: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end that element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def clean(value: Any) -> Any:
    """None for what is missing, plain numbers for those of NumPy and pandas."""
    if isinstance(value, list | tuple | Mapping | str | bool) or value is None:
        return value
    if value != value or repr(value) == "<NA>":
        return None
    return int(value) if float(value).is_integer() else float(value)


def _there(value: Any) -> bool:
    return value is not None and value != "" and value != [] and value != {}


def _identity(row: Record) -> Identity:
    return tuple(row[key] for key in IDENTITY)


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _percent(share: Any) -> float | None:
    value = clean(share)
    return None if value is None else round(100 * value, 1)


def _seeds(members: Sequence[Record]) -> dict[str, list[Record]]:
    by_method: dict[str, list[Record]] = {}
    for row in sorted(members, key=lambda row: (row["method"], row["seed"])):
        by_method.setdefault(row["method"], []).append(row)
    return by_method


def _group(group: Group, first: Record, curves: Sequence[Record]) -> Record:
    dataset, arch, structure, sparsity = group
    return {
        "dataset": dataset,
        "arch": arch,
        "structure": structure,
        "sparsity": f"{100 * sparsity:g} %",
        "title": group_title(group),
        "stem": "-".join([dataset, arch, structure, f"{sparsity:g}"]),
        "radii": [float(f"{e:.5g}") for e in curves[0]["eps"]] if curves else [],
        "eps": clean(first["eps"]),
        "eps_text": first["eps_text"],
        "norm": first["norm"],
    }


def _row(
    seeds: Sequence[Record],
    place: Mapping[Identity, int],
    level: str,
    whole: Mapping[Identity, Record],
) -> Record:
    """One method in one group: means over the seeds that count, and its curve."""
    used = across_seeds(seeds)[seeds[0]["method"]]
    mean = _mean_of(used)
    worst = [clean(row["worst_accuracy"]) for row in used]
    known = [value for value in worst if value is not None]
    ends = [[clean(row[f"worst_{side}"]) for row in used] for side in ("low", "high")]
    curves = [c for c in (whole[_identity(row)].get("curve") for row in used) if c]
    return (
        {key: _percent(mean(f"{key}_accuracy")) for key in MEANS}
        | {key: _percent(mean(key)) for key in AVERAGED[:3]}
        | {key: _rounded(mean(key)) for key in AVERAGED[3:]}
        | {
            "dense": int(seeds[0]["structure"] == "none"),
            "models": [place[_identity(row)] for row in seeds],
            "used": len(used),
            "ok": int(all(row["status"] == "ok" for row in used)),
            "sd": _percent(stdev(known)) if len(known) > 1 else None,
            "low": _percent(min((v for v in ends[0] if v is not None), default=None)),
            "high": _percent(max((v for v in ends[1] if v is not None), default=None)),
            "sparsity": clean(seeds[0]["sparsity"]),
            "doubt": int(tags.doubted(used)),
            "tags": tags.of(seeds, level, seed_spread(seeds)),
            "curve": _curve(curves),
        }
    )


def _mean_of(rows: Sequence[Record]) -> Callable[[str], float | None]:
    def mean(key: str) -> float | None:
        values = [value for row in rows if (value := clean(row[key])) is not None]
        return fmean(values) if values else None

    return mean


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _curve(curves: Sequence[Mapping[str, Any]]) -> list[list[float]] | None:
    """[means, lowest ends, highest ends] in per cent at the group's radii; None without a curve."""
    if not curves:
        return None
    points = {key: list(zip(*(c[key] for c in curves), strict=True)) for key in SIDES}
    found = [map(fmean, points["accuracy"]), map(min, points["low"]), map(max, points["high"])]
    return [[round(100 * value, 1) for value in side] for side in found]


def _model(row: Record, evaluation: Record, content: Content) -> Record:
    """One model: everything of its evaluation that is shown, its costs and its origin."""
    identity = _identity(row)
    costs = content.costs.get(identity, {})
    origins = content.origins.get(identity, {})
    return (
        {f"{a}_{s}": _percent(row[f"{a}_{s}"]) for a in ACCURACIES for s in SIDES}
        | {key: _percent(row[key]) for key in SHARES}
        | {key: row[key] for key in KEPT}
        | {key: _four(row[key]) for key in DISTANCES}
        | {"sparsity_achieved": _percent(row["sparsity_achieved"])}
        | {key: costs.get(key) for key in (*COUNTS, *TIMES) if key in costs and key not in KEPT}
        | {key: origins.get(key) for key in ORIGINS}
        | {
            "images": row["images"],
            "objective": evaluation["model"].get("objective"),
            "marks": row["marks"],
            "broken_by": evaluation.get("broken_by"),
            "tags": tags.of([row]),
        }
    )


def _four(value: Any) -> float | None:
    number = clean(value)
    return None if number is None else round(number, 4)
