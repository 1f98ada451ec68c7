"""A claimed accuracy holds within the interval of the images counted, and nowhere else."""

import pytest

from advprune.evaluation.claimed import broken
from advprune.evaluation.intervals import wilson


def record(clean, robust, images):
    found = {}
    for kind, right in (("clean", clean), ("autoattack", robust)):
        low, high = wilson(right, images)
        found |= {f"{kind}_accuracy": right / images, f"{kind}_low": low, f"{kind}_high": high}
    return found


@pytest.mark.parametrize(
    ("claims", "images", "count"),
    [
        ({}, 1000, 0),
        ({"clean": 0.81, "robust": 0.49}, 1000, 0),
        ({"clean": 0.81, "robust": 0.49}, 100_000, 2),
        ({"clean": 0.9}, 1000, 1),
        ({"robust": 0.4}, 1000, 1),
        ({"robust": 0.4}, 10, 0),
        ({"robust": 0.0}, 1000, 1),
    ],
)
def test_a_claim_is_held_against_what_was_counted(claims, images, count):
    assert len(broken(claims, record(8 * images // 10, images // 2, images))) == count


def test_the_reason_says_both_numbers():
    (reason,) = broken({"robust": 0.6}, record(800, 500, 1000))
    assert reason == "AutoAttack accuracy is 50.00 % (46.91–53.09) instead of 60.00 % as claimed"
