"""Findings beside the evaluations as tables: costs, other attacks, corruptions."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.evaluation.comparable import described, differing
from advprune.report import corruptions, costs
from advprune.report.records import IDENTITY

Rows = list[dict[str, Any]]


def _check_images(models: Sequence[Rows]) -> None:
    """Refuse findings about one dataset and net that are not about the same number of images."""
    counts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in (row for rows in models for row in rows):
        counts.setdefault((row["dataset"], row["arch"]), []).append({"images": row["images"]})
    for place, found in counts.items():
        if differ := differing(found):
            raise UserError(f"{', '.join(place)}: cannot be joined: {described(differ)}")


def other_attacks(models: Sequence[Rows]) -> pd.DataFrame:
    """One row per model and attack."""
    _check_images(models)
    frame = pd.DataFrame([row for rows in models for row in rows])
    first = ["method", "dataset", "arch", "structure", "sparsity", "seed", "attack"]
    return frame[[*first, *(c for c in frame if c not in first)]]


def corrupted(models: Sequence[Rows]) -> pd.DataFrame:
    """One row per model, corruption and severity."""
    _check_images(models)
    found = ["corruption", "severity", "images", "correct", "accuracy"]
    return pd.DataFrame([row for rows in models for row in rows])[[*IDENTITY, *found]]


# what the workflow's rule `table` can make: from what was found per model to a table
TABLES: dict[str, Callable[[Sequence[Any]], pd.DataFrame]] = {
    "costs": costs.table,
    "other_attacks": other_attacks,
    "corruptions": corrupted,
    "corruptions_means": lambda models: corruptions.means(corrupted(models)),
}
