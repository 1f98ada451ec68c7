"""What the pairs of the bench should reach on a processor, and whether they do."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """How many times faster than the plain side, with which share of other verdicts at most.

    `needs` is the processor's feature without which nothing is asked (`base.provenance.features`).
    """

    ratio: float
    flips: float = 0.0
    needs: str | None = None


_ATTACK, _LOW = Target(1.5), "amx_bf16"
# by the names of the pairs; a pair that is not here is measured only
TARGETS = {
    "autoattack dense, width 16": _ATTACK,
    "autoattack dense, width 64": _ATTACK,
    "autoattack unstructured 0.9, width 16": _ATTACK,
    "autoattack unstructured 0.9, width 64": _ATTACK,
    "autoattack filters 0.75, width 64": Target(5),
    "autoattack bf16, width 64": Target(2.5, flips=1 / 200, needs=_LOW),
    "fmn, width 16": Target(1.5),
    "fmn, width 64": Target(1.5),
    "pgd epoch bf16, width 64": Target(2.5, needs=_LOW),
}


def judge(pair: str, figures: dict[str, Any], features: Collection[str]) -> dict[str, str]:
    """Say as `target` what a pair should reach and whether its `figures` do.

    A pair of attacks names the images with another verdict (`flips`) among its `images`.
    """
    target = TARGETS.get(pair)
    if target is None:
        return {"target": "none"}
    asked = f"{target.ratio:g}"
    if target.flips:
        asked += f" with {target.flips:.1%} of other verdicts at most"
    if target.needs and target.needs not in features:
        return {"target": f"{asked}: not asked of a processor without {target.needs}"}
    flips = len(figures.get("flips", [])) / figures.get("images", 1)
    met = figures["ratio"] >= target.ratio and flips <= target.flips
    return {"target": f"{asked}: {'reached' if met else 'missed'}"}
