"""Signs of unreliable verdicts are counted, marked above their limits, and explained."""

import math

import numpy as np
import pandas as pd
import pytest

from advprune.evaluation.reliability import INDICATORS, LIMITS, SHARES, marks, summarise
from advprune.report.marks import MARKS, marked
from helpers.checkout import ROOT

N = 10
QUIET = dict.fromkeys(SHARES, 0.0)


def tables():
    """AutoAttack breaks 0-3 (0 is wrong from the start, 3 by Square), HO-FMN 0, 1 and 4."""
    index = np.arange(N)
    broken_by = ["clean", "apgd-ce", "fab-t", "square", *[""] * 6]
    common = pd.DataFrame(
        {"index": index, "official_index": index, "label": 0, "clean_correct": index > 0}
    )
    distance = [0, 0.1, 0.3, math.inf, 0.1, *[0.3] * 5]
    autoattack = common.assign(robust=index > 3, broken_by=broken_by)
    return autoattack, common.assign(distance=distance)


def checked(images=9, **counts):
    distances = ("distance_before", "distance_autoattack", "distance_after")
    missed = [
        {"index": 2, "broken_by": "fab-t"} | dict(zip(distances, (0.3, 0.2, 0.18), strict=True)),
        {"index": 3, "broken_by": "square"} | dict(zip(distances, (None, 0.2, 0.2), strict=True)),
        {"index": 4, "broken_by": "square"} | dict(zip(distances, (0.3, None, None), strict=True)),
    ]
    return {
        "images": images,
        "indicators": dict.fromkeys(INDICATORS, 0) | counts,
        "missed": missed,
    }


def test_shares_follow_from_the_tables():
    record = summarise(*tables(), checked(silent_success=3), eps=0.2)
    assert record["disagreement"] == pytest.approx(0.3)
    assert record["hofmn_missed"] == pytest.approx(0.2)
    assert record["autoattack_missed"] == pytest.approx(0.1)
    assert record["square_alone"] == pytest.approx(0.1)
    assert record["silent_success"] == pytest.approx(1 / 3)
    assert record["marks"] == ["disagreement", "square_alone", "silent_success"]


def test_medians_are_over_the_images_broken_again_and_none_found_is_farthest():
    record = summarise(*tables(), checked(), eps=0.2)
    assert (record["hofmn_recovered"], record["distance_after"]) == (2, pytest.approx(0.19))
    assert record["distance_before"] is None  # half of them at infinity
    lone = checked() | {"missed": checked()["missed"][:1]}
    assert summarise(*tables(), lone, eps=0.2)["distance_before"] == 0.3
    nothing = summarise(*tables(), checked() | {"missed": []}, eps=0.2)
    assert (nothing["hofmn_recovered"], nothing["distance_before"]) == (0, None)


def test_a_sample_without_a_right_answer_has_no_shares():
    record = summarise(*tables(), checked(images=0), eps=0.2)
    assert all(record[name] is None for name in INDICATORS)
    assert not set(record["marks"]) & set(INDICATORS)


@pytest.mark.parametrize("name", LIMITS)
def test_a_mark_begins_above_its_limit(name):
    assert marks(QUIET | {name: LIMITS[name]}) == []
    assert marks(QUIET | {name: 1.01 * LIMITS[name]}) == [name]


def test_every_mark_is_explained_on_the_page_and_in_the_docs():
    assert set(MARKS) == set(LIMITS)
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    for label, _ in MARKS.values():
        assert f"**{label}**" in text


def test_marks_are_shown_with_their_share():
    row = QUIET | {"disagreement": 0.123, "silent_success": 0.5}
    row["reliability"] = "disagreement; silent_success"
    shown = [
        ("disagreement", "attacks disagree 12.3 %"),
        ("silent_success", "silent success 50.0 %"),
    ]
    assert marked(row) == shown
    assert marked(row | {"reliability": ""}) == []
