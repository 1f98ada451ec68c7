"""A net's numbers beside those that were published: what may differ, and what may not."""

import numpy as np
import pytest

from advprune.evaluation.published import ALLOWANCE, beside, margin
from advprune.plan.specs import Published

OURS, THEIRS = 8 / 255, 0.031


def record(clean, autoattack, images=10_000):
    return {"clean_accuracy": clean, "autoattack_accuracy": autoattack, "images": images}


def distances(share_between):
    """Of 10,000 images half fall before both radii, a share between them, the rest behind."""
    between = round(10_000 * share_between)
    return np.array([0.01] * 5000 + [0.0312] * between + [0.1] * (5000 - between))


def test_the_same_numbers_agree():
    found = beside(record(0.76, 0.43), Published(0.76, 0.43, THEIRS, 10_000), distances(0), OURS)
    assert found["reasons"] == [] and found["clean_difference"] == 0 == found["shift"]


def test_a_smaller_radius_is_worth_what_it_costs_this_net():
    told = Published(0.76, 0.43, THEIRS, 10_000)
    found = beside(record(0.76, 0.425), told, distances(0.005), OURS)
    assert found["shift"] == pytest.approx(-0.005)
    assert found["autoattack_expected"] == pytest.approx(0.425)
    assert found["autoattack_difference"] == pytest.approx(0) and not found["reasons"]
    at_theirs = beside(record(0.76, 0.43), told, distances(0.005), THEIRS)
    assert at_theirs["shift"] == 0 and at_theirs["autoattack_difference"] == 0


@pytest.mark.parametrize(
    ("clean", "robust", "words"),
    [
        (0.10, 0.43, "clean accuracy is 10.00 % instead of 76.00 ± 0.10 % as published"),
        (0.76, 0.40, "AutoAttack accuracy is 40.00 % instead of 43.00 ± 0.50 % as published"),
        (0.76, 0.46, "AutoAttack accuracy is 46.00 % instead of 43.00 ± 0.50 % as published"),
    ],
)
def test_what_nothing_explains_is_a_reason_in_either_direction(clean, robust, words):
    told = Published(0.76, 0.43, THEIRS, 10_000)
    assert beside(record(clean, robust), told, distances(0), OURS)["reasons"] == [words]


def test_fewer_images_allow_more():
    told = Published(0.76, 0.43, THEIRS, 10_000)
    assert margin("clean", 0.76, 10_000, 10_000) == ALLOWANCE["clean"]
    allowed = margin("clean", 0.76, 100, 10_000)
    assert allowed == pytest.approx(0.001 + 2.58 * np.sqrt(0.76 * 0.24 * (1 / 100 - 1 / 10_000)))
    few = np.full(100, 0.1)
    assert beside(record(0.70, 0.40, 100), told, few, OURS)["reasons"] == []


def test_the_interval_holds_for_nets_that_agree():
    """99 % of samples without replacement lie within it, without the allowance for other things."""
    rng = np.random.default_rng(0)
    correct = np.arange(10_000) < 4300
    means = np.array([rng.choice(correct, 500, replace=False).mean() for _ in range(2000)])
    allowed = margin("autoattack", 0.43, 500, 10_000) - ALLOWANCE["autoattack"]
    assert 0.985 < np.mean(np.abs(means - 0.43) <= allowed) < 0.996


def test_a_claim_without_conditions_is_held_at_the_run_s_own():
    found = beside(record(0.5, 0.3), Published(clean=0.5), distances(0.2), OURS)
    assert found["eps"] == OURS and found["images"] == 10_000
    assert "autoattack_expected" not in found and found["reasons"] == []
