"""One model's evaluation: everything that is shown of it, counted from per-image tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from advprune.attacks.verdicts import AUTOATTACK, HOFMN, SAMPLE, accuracy, pack, robust_at, worst
from advprune.base.errors import UserError
from advprune.base.record import to_dict
from advprune.evaluation.intervals import wilson
from advprune.plan.specs import UnavailableSpec

CURVE_POINTS = 41  # from no perturbation to twice the radius of the threat
ONE_ANSWER = 0.99  # share of the images with the same answer from which on a net has collapsed


def evaluate(
    model: dict[str, Any],
    audit: dict[str, Any],
    autoattack: pd.DataFrame,
    hofmn: pd.DataFrame,
    warnings: list[str],
    *,
    eps: float,
    classes: int,
    largest_answer: float,
) -> dict[str, Any]:
    """Join the audit with both attacks' verdicts on the same images.

    Accuracies are in [0, 1] with 95 % Wilson bounds. `worst` counts an image as robust when
    neither attack breaks it; `robust_images` has these verdicts image by image, packed. The status
    is `flagged`, with the reasons, when the audit objects, when the clean accuracy cannot be told
    from chance, or when the net gives one answer to nearly all images: their share is
    `largest_answer`.
    """
    for name, table, kind in (("autoattack", autoattack, AUTOATTACK), ("hofmn", hofmn, HOFMN)):
        if list(table.columns) != list(kind):
            raise UserError(f"{name}: not its table (columns {', '.join(table.columns)})")
    if not autoattack[list(SAMPLE)].equals(hofmn[list(SAMPLE)]):
        raise UserError(f"{model}: the attacks did not see the same images")
    verdicts = {
        "clean": autoattack["clean_correct"],
        "autoattack": autoattack["robust"],
        "hofmn": robust_at(hofmn["distance"], eps),
        "worst": worst(autoattack["robust"], hofmn["distance"], eps),
    }
    record: dict[str, Any] = {}
    for name, robust in verdicts.items():
        record[f"{name}_accuracy"] = accuracy(robust)
        bounds = wilson(int(np.sum(robust)), len(robust))
        record[f"{name}_low"], record[f"{name}_high"] = bounds
    reasons = list(audit["reasons"])
    if record["clean_low"] <= 1 / classes:
        reasons.append("clean accuracy is at chance")
    if largest_answer >= ONE_ANSWER:
        reasons.append(f"one answer to {100 * largest_answer:.1f} % of the images")
    broken = autoattack["broken_by"].value_counts()
    return record | {
        "model": model,
        "images": len(autoattack),
        "robust_images": pack(verdicts["worst"]),
        "audit": {k: v for k, v in audit.items() if k not in ("layers", "reasons")},
        "curve": curve(hofmn["distance"].to_numpy(), eps),
        "layers": layers(audit["layers"]),
        "broken_by": {str(k): int(n) for k, n in sorted(broken.items()) if k},
        "warnings": sorted(set(warnings)),
        "status": "flagged" if reasons else "ok",
        "reason": "; ".join(reasons),
    }


def without_numbers(spec: UnavailableSpec, status: str, reason: str) -> dict[str, Any]:
    """The evaluation of a model that there is none of: it is a row with its reason."""
    numbers = ("clean", "autoattack", "hofmn", "worst")
    return {f"{a}_{b}": None for a in numbers for b in ("accuracy", "low", "high")} | {
        "model": to_dict(spec.row),
        "threat": {"norm": "Linf", "eps": spec.eps, "eps_text": spec.eps_text},
        "images": spec.images,
        "curve": None,
        "status": status,
        "reason": reason,
    }


def training(card: Mapping[str, Any], pgd: Mapping[str, Any]) -> dict[str, Any]:
    """How a model was trained, from its checkpoint's card and the check of both its epochs.

    `epochs` of all phases together; `best_epoch` and `final_epochs` of the training whose net is
    evaluated (its number from 1, and their number), None where a search was all the training; PGD
    and clean accuracies of that epoch and of the last, None of a last one that is not known.
    """
    epochs, last = card.get("epochs"), pgd.get("last", {})
    final = [entry for phase, entry in card.get("best", {}).items() if phase != "pretrain"]
    chosen = final[-1] if final else {}
    return {
        "epochs": sum(epochs.values()) if epochs is not None else None,
        "best_epoch": chosen.get("epoch"),
        "final_epochs": chosen.get("of"),
        "pgd20_best": pgd["best"]["pgd"],
        "pgd20_last": last.get("pgd"),
        "clean_last": last.get("clean"),
        "marks": card.get("marks", []),
    }


def layers(counted: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """What pruning left of the layers, from the `removed` and `units` of each.

    `empty` counts layers without any unit; the shares that the layers keep reach from `lowest` to
    `highest`, None without layers. `one_rate` says whether all keep the same share, to within one
    unit or half a percent of what is kept.
    """
    removed, units = (np.array([v[k] for v in counted.values()]) for k in ("removed", "units"))
    kept = units - removed
    expected = units * kept.sum() / max(units.sum(), 1)
    shares = (kept / units).tolist()
    return {
        "layers": len(units),
        "empty": int((kept == 0).sum()),
        "lowest": min(shares, default=None),
        "highest": max(shares, default=None),
        "one_rate": bool((np.abs(kept - expected) <= np.maximum(1, 0.005 * expected)).all()),
    }


def curve(distance: np.ndarray, eps: float) -> dict[str, list[float]]:
    """Security evaluation curve of distances [images] with its 95 % band, up to twice eps."""
    grid = [2 * eps * i / (CURVE_POINTS - 1) for i in range(CURVE_POINTS)]
    robust = [int(robust_at(distance, radius).sum()) for radius in grid]
    bounds = [wilson(count, len(distance)) for count in robust]
    return {
        "eps": grid,
        "accuracy": [count / len(distance) for count in robust],
        "low": [low for low, _ in bounds],
        "high": [high for _, high in bounds],
    }
