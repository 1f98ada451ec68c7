"""What the analyses start from: one row per method and group, the mean over its seeds.

A *group* is what may be compared: one dataset, net, structure and sparsity. Shares are in [0, 1].
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from advprune.report.records import STRUCTURES, Record, records

PLACE = ["dataset", "arch", "structure", "sparsity"]
NUMBERS = {
    **{f"{name}_accuracy": name for name in ("clean", "autoattack", "hofmn", "worst")},
    **dict.fromkeys(("eps", "images")),
}
BEST_KNOWN = ("accuracy", "area", "hofmn_area", "nearer", "beyond", "hofmn_beyond")


def models(evaluations: Sequence[Record]) -> pd.DataFrame:
    """One row per model, whatever its status; what is not known of one is empty.

    `unit` is the method that a variant is of, and the method itself else; `variant` and `external`
    (trained elsewhere) are true or false; `doubted` is 1 where verdicts are marked as possibly
    unreliable, else 0. `best_…` are those of the best-known curve.
    """
    return pd.DataFrame([_model(row) for row in records(evaluations)])


def means(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per method and group: means over seeds that are not flagged and have a number.

    `seeds` counts these; a method without one has no row.
    """
    fine = frame[(frame["status"] == "ok") & frame["worst"].notna()]
    by = [*PLACE, "method"]
    numbers = [c for c in fine.select_dtypes("number") if c not in (*by, "seed")]
    texts = [c for c in fine if c not in (*by, *numbers, "seed", "status", "reason")]
    grouped = fine.groupby(by, sort=True)
    found = grouped[numbers].mean().join(grouped[texts].first())
    return found.join(grouped.size().rename("seeds")).reset_index()


def in_order(frame: pd.DataFrame, *then: str) -> pd.DataFrame:
    """Rows by group in the order of all tables, dense nets first, and within one by `then`."""
    by = [*PLACE, *then]
    kinds = {kind: place for place, kind in enumerate(STRUCTURES)}
    return frame.sort_values(
        by, key=lambda c: c.map(kinds) if c.name == "structure" else c, ignore_index=True
    )


def _model(row: Record) -> dict[str, Any]:
    training, settings = row.get("training") or {}, row.get("settings") or {}
    best, layers = row.get("best_known") or {}, row.get("layers") or {}
    pruned = layers if row["structure"] != "none" else {}
    return {
        **{key: row[key] for key in (*PLACE, "method", "seed", "status", "reason")},
        "unit": row.get("variant_of") or row["method"],
        "variant": bool(row.get("variant_of")),
        "external": row.get("stage") == "external",
        "objective": row.get("objective") or "",
        "marks": row["reliability"],
        "doubted": float(bool(row["reliability"])),
        "trouble": "; ".join(training.get("marks") or []),
        **{name or key: _number(row.get(key)) for key, name in NUMBERS.items()},
        "width": _number(settings.get("width")),
        "epochs": _number(training.get("epochs")),
        "pgd20_best": _number(training.get("pgd20_best")),
        "pgd20_last": _number(training.get("pgd20_last")),
        "empty": _number(pruned.get("empty")),
        "one_rate": _number(pruned.get("one_rate")),
        **{f"best_{key}": _number(best.get(key)) for key in BEST_KNOWN},
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
