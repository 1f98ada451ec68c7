import math

import numpy as np
import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.evaluation.evaluate import evaluate
from advprune.evaluation.intervals import wilson

MODEL = {"method": "m", "dataset": "digits", "seed": 0}
AUDIT = {"params": 10, "reasons": [], "layers": {}}


def tables(n=10):
    """Image 0 is misclassified; AutoAttack breaks 1-4, FMN breaks 3-6; FMN finds nothing on 9."""
    index = np.arange(n)
    broken = ["clean", *["apgd-ce"] * 2, *["square"] * 2, *[""] * (n - 5)]
    autoattack = pd.DataFrame(
        {"index": index, "label": 0, "clean_correct": index > 0, "robust": index > 4}
    ).assign(broken_by=broken)
    distance = np.array([0, 0.3, 0.3, 0.1, 0.1, 0.1, 0.2, 0.3, 0.3, math.inf])
    hofmn = pd.DataFrame({"index": index, "label": 0, "clean_correct": index > 0})
    return autoattack, hofmn.assign(distance=distance)


def test_accuracies_follow_from_the_tables():
    record = evaluate(MODEL, AUDIT, *tables(), ["w", "w"], eps=0.2, classes=10)
    assert record["clean_accuracy"] == 0.9
    assert record["autoattack_accuracy"] == 0.5
    assert record["hofmn_accuracy"] == 0.5  # 1, 2, 7, 8, 9: a distance of exactly eps is broken
    assert record["worst_accuracy"] == 0.3  # 7, 8, 9
    assert (record["worst_low"], record["worst_high"]) == wilson(3, 10)
    assert record["broken_by"] == {"apgd-ce": 2, "clean": 1, "square": 2}
    assert record["warnings"] == ["w"] and record["status"] == "ok" and record["images"] == 10


def test_the_curve_falls_from_the_clean_accuracy_and_passes_the_robust_one():
    record = evaluate(MODEL, AUDIT, *tables(), [], eps=0.2, classes=10)
    curve = record["curve"]
    assert curve["eps"][0] == 0 and curve["eps"][20] == pytest.approx(0.2)
    assert curve["accuracy"][0] == 0.9 and curve["accuracy"][20] == record["hofmn_accuracy"]
    assert all(np.diff(curve["accuracy"]) <= 0)
    assert curve["accuracy"][-1] == pytest.approx(0.1)  # what was never broken stays
    for low, middle, high in zip(*(curve[k] for k in ("low", "accuracy", "high")), strict=True):
        assert low <= middle <= high


def test_a_net_at_chance_and_an_objecting_audit_are_flagged():
    autoattack, hofmn = tables()
    autoattack["clean_correct"] = [True] + [False] * 9
    audit = AUDIT | {"reasons": ["sparsity is 0.5 instead of 0.9"]}
    record = evaluate(MODEL, audit, autoattack, hofmn, [], eps=0.2, classes=10)
    assert record["status"] == "flagged"
    assert record["reason"] == "sparsity is 0.5 instead of 0.9; clean accuracy is at chance"


def test_attacks_on_different_images_are_refused():
    autoattack, hofmn = tables()
    with pytest.raises(UserError, match="same images"):
        evaluate(MODEL, AUDIT, autoattack, hofmn[:-1], [], eps=0.2, classes=10)
