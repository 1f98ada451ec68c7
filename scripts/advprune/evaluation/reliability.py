"""Signs that a model's verdicts are unreliable, which means too optimistic.

Everything that is counted here can be counted without torch, from the tables of verdicts and from
what the job `reliability` has found. docs/reliability.md says what each mark means.
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
# share of the images above which a sign is marked; AutoAttack warns of Square from 0.2 % on
LIMITS = {"disagreement": 0.05, "square_alone": 0.002} | dict.fromkeys(INDICATORS, 0.05)


def summarise(
    autoattack: pd.DataFrame, hofmn: pd.DataFrame, checked: Mapping[str, Any], eps: float
) -> dict[str, Any]:
    """All signs about one model: `SHARES` in [0, 1], the minimum-norm check, and the marks.

    `checked` is the content of the model's reliability.json. The indicators are shares of its
    sample's correctly classified images; None where there is none. All others are shares of all
    images.
    `hofmn_recovered` counts the images that HO-FMN missed and FMN breaks from AutoAttack's point,
    `distance_before` and `distance_after` are the medians of their distances.
    """
    broken = ~autoattack["robust"].to_numpy()
    near = ~robust_at(hofmn["distance"], eps)
    shares: dict[str, float | None] = {
        "disagreement": float(np.mean(broken != near)),
        "hofmn_missed": float(np.mean(broken & ~near)),
        "autoattack_missed": float(np.mean(near & ~broken)),
        "square_alone": float(np.mean(autoattack["broken_by"] == "square")),
    }
    counts, images = checked["indicators"], checked["images"]
    shares |= {name: counts[name] / images if images else None for name in INDICATORS}
    recovered = [row for row in checked["missed"] if row["distance_after"] is not None]
    return shares | {
        "hofmn_recovered": len(recovered),
        "distance_before": _median([row["distance_before"] for row in recovered]),
        "distance_after": _median([row["distance_after"] for row in recovered]),
        "marks": marks(shares),
    }


def marks(shares: Mapping[str, float | None]) -> list[str]:
    """Names of the signs whose share of the images exceeds its limit."""
    return [name for name, limit in LIMITS.items() if (shares[name] or 0) > limit]


def _median(distances: Sequence[float | None]) -> float | None:
    """Median in which None stands for a point that was not found, the farthest of all."""
    if not distances:
        return None
    value = median(np.inf if d is None else d for d in distances)
    return value if np.isfinite(value) else None
