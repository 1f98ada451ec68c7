"""Accuracies that an entry claims of a net from elsewhere, against those that were counted.

The same tensors under another activation or normalisation fit a net of ours as well: an accuracy
that does not hold is the only sign of it.
"""

from collections.abc import Mapping
from typing import Any

WORDS = {"clean": "clean accuracy", "autoattack": "AutoAttack accuracy"}
CLAIMS = {"clean": "clean", "robust": "autoattack"}  # words of an entry, and of a record


def broken(claims: Mapping[str, float], record: Mapping[str, Any]) -> list[str]:
    """Reasons for a flag: claims outside the 95 % Wilson interval of the images counted.

    `claims` are shares in [0, 1] of "clean" and "robust" images, robust against AutoAttack.
    `record` has `<kind>_accuracy`, `<kind>_low` and `<kind>_high` of "clean" and "autoattack".
    """
    reasons = []
    for claim, kind in CLAIMS.items():
        share = claims.get(claim)
        low, high = record[f"{kind}_low"], record[f"{kind}_high"]
        if share is not None and not low <= share <= high:
            counted = f"{100 * record[f'{kind}_accuracy']:.2f} % ({100 * low:.2f}–{100 * high:.2f})"
            reasons.append(f"{WORDS[kind]} is {counted} instead of {100 * share:.2f} % as claimed")
    return reasons
