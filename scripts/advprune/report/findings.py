"""Findings beside the evaluations as tables: costs, other attacks, corruptions."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from advprune.report import corruptions, costs
from advprune.report.records import IDENTITY

Rows = list[dict[str, Any]]


def other_attacks(models: Sequence[Rows]) -> pd.DataFrame:
    """One row per model and attack."""
    frame = pd.DataFrame([row for rows in models for row in rows])
    first = ["method", "dataset", "arch", "structure", "sparsity", "seed", "attack"]
    return frame[[*first, *(c for c in frame if c not in first)]]


def corrupted(models: Sequence[Rows]) -> pd.DataFrame:
    """One row per model, corruption and severity."""
    found = ["corruption", "severity", "images", "correct", "accuracy"]
    return pd.DataFrame([row for rows in models for row in rows])[[*IDENTITY, *found]]


# what the workflow's rule `table` can make: from what was found per model to a table
TABLES: dict[str, Callable[[Sequence[Any]], pd.DataFrame]] = {
    "costs": costs.table,
    "other_attacks": other_attacks,
    "corruptions": corrupted,
    "corruptions_means": lambda models: corruptions.means(corrupted(models)),
}
