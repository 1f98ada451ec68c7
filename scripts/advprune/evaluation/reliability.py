"""Doubts about a model's evaluation: signs that its verdicts may be too optimistic.

Everything that is counted here can be counted without torch, from the tables of verdicts and from
what the job `doubts` has found. docs/doubts.md says what each mark means.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from advprune.attacks.verdicts import robust_at

INDICATORS = (
    "unavailable_gradients",
    "unstable_predictions",
    "silent_success",
    "incomplete_optimisation",
    "transfer_failure",
    "unconstrained_failure",
)
SHARES = ("disagreement", "hofmn_missed", "autoattack_missed", "square_alone", *INDICATORS)
# share of the images above which a doubt is marked; AutoAttack warns of Square from 0.2 % on
LIMITS = {"disagreement": 0.05, "square_alone": 0.002} | dict.fromkeys(INDICATORS, 0.05)


def summarise(
    autoattack: pd.DataFrame, hofmn: pd.DataFrame, found: Mapping[str, Any], eps: float
) -> dict[str, Any]:
    """All doubts about one model: `SHARES` in [0, 1], the minimum-norm check, and the marks.

    `found` is the content of the model's doubts.json. The indicators are shares of its sample's
    correctly classified images; None where there is none. All others are shares of all images.
    `missed_before` and `missed_after` are median distances of the images that HO-FMN missed.
    """
    broken = ~autoattack["robust"].to_numpy()
    near = ~robust_at(hofmn["distance"], eps)
    shares: dict[str, float | None] = {
        "disagreement": float(np.mean(broken != near)),
        "hofmn_missed": float(np.mean(broken & ~near)),
        "autoattack_missed": float(np.mean(near & ~broken)),
        "square_alone": float(np.mean(autoattack["broken_by"] == "square")),
    }
    counts, images = found["indicators"], found["images"]
    shares |= {name: counts[name] / images if images else None for name in INDICATORS}
    again = [row for row in found["missed"] if row["again"] is not None]
    return shares | {
        "missed_again": len(again),
        "missed_before": _median([row["hofmn"] for row in again]),
        "missed_after": _median([row["again"] for row in again]),
        "marks": marks(shares),
    }


def marks(shares: Mapping[str, float | None]) -> list[str]:
    """Names of the doubts whose share of the images exceeds its limit."""
    return [name for name, limit in LIMITS.items() if (shares[name] or 0) > limit]


def _median(distances: Sequence[float | None]) -> float | None:
    """Median in which None stands for a point that was not found, the farthest of all."""
    if not distances:
        return None
    value = median(np.inf if d is None else d for d in distances)
    return value if np.isfinite(value) else None
