"""A net's numbers beside those that were published of it, and whether they agree.

Nothing is trained, so what may differ is little: the images, if not all of them were used in both
places; the radius, which this net's own distances tell the worth of; and the attack's random
starts, the batches and the order of sums, for which `ALLOWANCE` is left.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from advprune.attacks.verdicts import robust_at
from advprune.evaluation.claimed import WORDS
from advprune.plan.specs import Published

# Shares of the images. AutoAttack is random, the clean accuracy is not.
ALLOWANCE = {"clean": 0.001, "autoattack": 0.005}
Z = 2.58  # of a normal interval of 99 %


def beside(
    record: Mapping[str, Any], published: Published, distances: Any, eps: float
) -> dict[str, Any]:
    """Fields of a record, and reasons for a flag as its `reasons`.

    `record` has `clean_accuracy`, `autoattack_accuracy` and `images`, `distances` are HO-FMN's of
    the same images, `eps` the radius in [0, 1] at which they were attacked. `<kind>_expected` is
    what was published, moved to this radius; `<kind>_difference` is ours less that, and
    `<kind>_margin` how far it may be from zero.
    """
    radius, known = published.eps or eps, published.images or record["images"]
    shift = float(np.mean(robust_at(distances, eps)) - np.mean(robust_at(distances, radius)))
    found: dict[str, Any] = {"eps": radius, "images": known, "shift": shift, "reasons": []}
    for kind, moved in (("clean", 0.0), ("autoattack", shift)):
        if (told := getattr(published, kind)) is None:
            continue
        expected = told + moved
        difference = record[f"{kind}_accuracy"] - expected
        allowed = margin(kind, told, record["images"], known)
        found |= {
            kind: told,
            f"{kind}_expected": expected,
            f"{kind}_difference": difference,
            f"{kind}_margin": allowed,
        }
        if abs(difference) > allowed:
            found["reasons"].append(
                f"{WORDS[kind]} is {100 * record[f'{kind}_accuracy']:.2f} % instead of "
                f"{100 * expected:.2f} ± {100 * allowed:.2f} % as published"
            )
    return found


def margin(kind: str, share: float, ours: int, theirs: int) -> float:
    """How far an accuracy on `ours` images may be from `share` on `theirs`.

    One are a part of the other. With the same images nothing but `ALLOWANCE`; else an interval of
    99 % besides.
    """
    variance = share * (1 - share) * abs(1 / ours - 1 / theirs)
    return float(ALLOWANCE[kind] + Z * np.sqrt(variance))
