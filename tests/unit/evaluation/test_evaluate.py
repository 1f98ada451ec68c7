import math

import numpy as np
import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.evaluation.evaluate import evaluate, training
from advprune.evaluation.intervals import wilson

MODEL = {"method": "m", "dataset": "digits", "seed": 0}
SETTINGS = {"eps": 0.2, "classes": 10, "largest_answer": 0.2}
AUDIT = {"params": 10, "reasons": [], "layers": {}}


def tables(n=10):
    """Image 0 is misclassified; AutoAttack breaks 1-4, FMN breaks 3-6; FMN finds nothing on 9."""
    index = np.arange(n)
    broken = ["clean", *["apgd-ce"] * 2, *["square"] * 2, *[""] * (n - 5)]
    autoattack = pd.DataFrame(
        {
            "index": index,
            "official_index": index,
            "label": 0,
            "clean_correct": index > 0,
            "robust": index > 4,
        }
    ).assign(broken_by=broken)
    distance = np.array([0, 0.3, 0.3, 0.1, 0.1, 0.1, 0.2, 0.3, 0.3, math.inf])
    hofmn = pd.DataFrame(
        {"index": index, "official_index": index, "label": 0, "clean_correct": index > 0}
    )
    return autoattack, hofmn.assign(distance=distance)


def test_accuracies_follow_from_the_tables():
    record = evaluate(MODEL, AUDIT, *tables(), ["w", "w"], **SETTINGS)
    assert record["clean_accuracy"] == 0.9
    assert record["autoattack_accuracy"] == 0.5
    assert record["hofmn_accuracy"] == 0.5  # 1, 2, 7, 8, 9: a distance of exactly eps is broken
    assert record["worst_accuracy"] == 0.3  # 7, 8, 9
    assert (record["worst_low"], record["worst_high"]) == wilson(3, 10)
    assert record["broken_by"] == {"apgd-ce": 2, "clean": 1, "square": 2}
    assert record["warnings"] == ["w"] and record["status"] == "ok" and record["images"] == 10


def test_the_curve_falls_from_the_clean_accuracy_and_passes_the_robust_one():
    record = evaluate(MODEL, AUDIT, *tables(), [], **SETTINGS)
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
    record = evaluate(MODEL, audit, autoattack, hofmn, [], **SETTINGS)
    assert record["status"] == "flagged"
    assert record["reason"] == "sparsity is 0.5 instead of 0.9; clean accuracy is at chance"


def test_attacks_on_different_images_are_refused():
    autoattack, hofmn = tables()
    with pytest.raises(UserError, match="same images"):
        evaluate(MODEL, AUDIT, autoattack, hofmn[:-1], [], **SETTINGS)


def constant(labels, answer):
    """Tables of a net that gives one answer whatever it sees; no attack changes that."""
    right = np.asarray(labels) == answer
    index = np.arange(len(right))
    autoattack = pd.DataFrame(
        {"index": index, "official_index": index, "label": labels, "clean_correct": right}
    )
    autoattack = autoattack.assign(robust=right, broken_by=np.where(right, "", "clean"))
    distance = np.where(right, math.inf, 0.0)
    hofmn = pd.DataFrame(
        {"index": index, "official_index": index, "label": labels, "clean_correct": right}
    )
    return autoattack, hofmn.assign(distance=distance)


def test_a_net_that_gives_one_answer_is_flagged_where_its_class_is_common():
    """SVHN: 5,099 of 26,032 test images show a one, so the constant net is beyond chance."""
    counts = [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595]
    tables = constant(np.repeat(np.arange(10), counts), 1)
    record = evaluate(MODEL, AUDIT, *tables, [], **SETTINGS | {"largest_answer": 1.0})
    assert round(record["worst_accuracy"], 4) == 0.1959 and record["clean_low"] > 0.1
    assert record["status"] == "flagged"
    assert record["reason"] == "one answer to 100.0 % of the images"


@pytest.mark.parametrize(("share", "status"), [(0.9899, "ok"), (0.99, "flagged")])
def test_one_answer_is_flagged_from_99_percent_on(share, status):
    record = evaluate(MODEL, AUDIT, *tables(), [], **SETTINGS | {"largest_answer": share})
    assert record["status"] == status


PGD = {"images": 9, "best": {"clean": 0.9, "pgd": 0.5, "largest_answer": 0.2}}


def test_training_is_told_of_the_chain_and_of_both_epochs():
    best = {"epoch": 12, "of": 20, "val_pgd": 0.5, "val_pgd_last": 0.4}
    card = {
        "epochs": {"pretrain": 30, "prune": 10, "finetune": 20},
        "best": {"pretrain": best | {"epoch": 7}, "finetune": best},
        "marks": ["the search did nothing"],
    }
    last = {"last": {"clean": 0.8, "pgd": 0.4, "largest_answer": 0.3}}
    assert training(card, PGD | last) == {
        "epochs": 60,
        "best_epoch": 12,
        "final_epochs": 20,
        "pgd20_best": 0.5,
        "pgd20_last": 0.4,
        "clean_last": 0.8,
        "marks": ["the search did nothing"],
    }
    found = training(card | {"best": {"pretrain": best}}, PGD | last)
    assert (found["best_epoch"], found["final_epochs"]) == (None, None)  # a search was the end


def test_of_a_net_from_elsewhere_only_what_is_measured_is_told():
    found = training({"sha256": "0"}, PGD)
    assert found.pop("pgd20_best") == 0.5 and found.pop("marks") == []
    assert set(found.values()) == {None}
