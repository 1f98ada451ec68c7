"""The minimum-norm check finds what HO-FMN missed and attacks it again."""

import numpy as np
import pandas as pd
import pytest
import torch

from advprune.attacks.fmn import FmnConfig
from advprune.attacks.recheck import missed, recheck
from helpers.attacked_nets import Constant, linear_case

SETTINGS = {"steps": 200, "config": FmnConfig(), "seed": 0, "batch_size": 5, "version": "standard"}


def tables(distance, robust):
    index = np.arange(len(distance))
    clean = np.array(distance) > 0
    common = pd.DataFrame(
        {"index": index, "official_index": index, "label": 0, "clean_correct": clean}
    )
    broken_by = np.where(robust, "", np.where(clean, "apgd-ce", "clean"))
    return common.assign(robust=robust, broken_by=broken_by), common.assign(distance=distance)


def test_missed_are_those_broken_within_eps_whose_distance_is_larger():
    distance = [0.0, 0.1, 0.2, 0.3, 0.3, np.inf, np.inf]
    robust = [False, False, False, False, True, False, True]
    rows = missed(*tables(distance, robust), eps=0.2)
    assert list(rows["index"]) == [3, 5]
    assert list(rows["distance"]) == [0.3, np.inf]


def test_missed_images_get_autoattacks_distance_and_the_true_one_from_there():
    net, x, y, distance = linear_case((1, 4, 4))
    eps = 1.2 * distance.max().item()
    broken, far = tables([np.inf, *[0.9] * 7], [False] * 8)
    rows = missed(broken, far, eps)
    entries = recheck(net, x, y, rows, eps=eps, **SETTINGS)
    assert [row["index"] for row in entries] == list(range(8))
    assert [row["distance_before"] for row in entries] == [None, *[0.9] * 7]
    for row, true in zip(entries, distance.tolist(), strict=True):
        assert true - 1e-4 <= row["distance_after"] <= row["distance_autoattack"] <= eps + 1e-6
        assert row["distance_after"] == pytest.approx(true, rel=0.05)


def test_an_image_that_is_not_broken_again_has_no_distances():
    x = torch.rand(2, 1, 4, 4)
    rows = missed(*tables([0.3, 0.4], [False, False]), eps=0.2)
    entries = recheck(Constant(), x, torch.zeros(2, dtype=torch.long), rows, eps=0.2, **SETTINGS)
    assert [row["distance_autoattack"] for row in entries] == [None, None]
    assert [row["distance_after"] for row in entries] == [None, None]


def test_nothing_missed_asks_nothing():
    rows = missed(*tables([0.1], [False]), eps=0.2)
    assert recheck(None, None, None, rows, eps=0.2, **SETTINGS) == []
