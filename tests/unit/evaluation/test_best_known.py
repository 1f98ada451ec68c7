"""The nearest points of all sources, and the curve of them."""

import numpy as np
import pandas as pd
import pytest

from advprune.evaluation.best_known import area, nearest, summarise
from advprune.evaluation.evaluate import layers

EPS = 0.2


def tables():
    """Image 0 is wrong; AutoAttack breaks 1 to 3, HO-FMN misses 2 and 3 and alone breaks 4."""
    index = np.arange(6)
    sample = {"index": index, "official_index": index, "label": 0, "clean_correct": index > 0}
    broken = ["clean", "apgd-ce", "apgd-ce", "square", "", ""]
    autoattack = pd.DataFrame(sample).assign(robust=index > 3, broken_by=broken)
    hofmn = pd.DataFrame(sample).assign(distance=[0, 0.1, 0.3, np.inf, 0.15, 0.5])
    return autoattack, hofmn


def entry(index, before, point, after):
    return {
        "index": index,
        "distance_before": before,
        "distance_autoattack": point,
        "distance_after": after,
    }


MISSED = [entry(2, 0.3, 0.2, 0.12), entry(3, None, None, None)]  # not broken a second time


def test_every_image_has_the_nearest_point_of_any_source():
    found = nearest(*tables(), MISSED, EPS)
    # restarted where it was broken again, eps where only the verdict is known
    assert found.min(axis=1).tolist() == [0, 0.1, 0.12, 0.2, 0.15, 0.5]
    assert found["restarted"].tolist() == [np.inf, np.inf, 0.12, np.inf, np.inf, np.inf]


def test_a_point_that_fmn_could_not_bring_nearer_stays():
    found = nearest(*tables(), [entry(2, 0.3, 0.19, 0.25)], EPS)
    assert found.loc[2].min() == 0.19


def test_the_best_known_curve_is_never_above_hofmns_and_passes_the_worst_case():
    found = summarise(nearest(*tables(), MISSED, EPS), EPS)
    assert found["accuracy"] == pytest.approx(1 / 6)  # image 5 alone
    assert found["curve"]["accuracy"][20] == found["accuracy"]
    assert found["nearer"] == 2
    assert (found["beyond"], found["hofmn_beyond"]) == pytest.approx((1 / 6, 2 / 6))
    assert found["area"] < found["hofmn_area"]


def test_the_height_is_the_integral_of_the_curve():
    distance = np.random.default_rng(0).gamma(2, 0.1, 500)
    radii = np.linspace(0, 0.4, 20_001)
    share = (distance[:, None] > radii).mean(axis=0)
    assert area(distance, 0.4) == pytest.approx(np.trapezoid(share, radii) / 0.4, abs=1e-4)
    assert area(np.full(3, np.inf), 0.4) == 1 and area(np.zeros(3), 0.4) == 0


def counted(*layers_):
    return {str(i): {"removed": r, "units": n} for i, (r, n) in enumerate(layers_)}


def test_one_rate_is_one_up_to_a_rounded_unit():
    found = layers(counted((64, 72), (518, 576), (576, 640)))
    assert found["one_rate"] and found["empty"] == 0 and found["lowest"] == pytest.approx(64 / 640)
    assert not layers(counted((0, 72), (590, 576 + 72)))["one_rate"]


def test_a_layer_without_any_unit_is_counted():
    found = layers(counted((72, 72), (10, 100)))
    assert (found["empty"], found["lowest"], found["highest"]) == (1, 0, 0.9)
