"""Where methods prune: closed forms of shares, overlaps, traits and their rank correlation."""

import numpy as np
import pandas as pd
import pytest

from advprune.report import records
from advprune.report.figures import layers, tidy
from helpers.report_samples import evaluation

GROUP = ("digits", "resnet18", "unstructured", 0.9)
SIZES = (100, 300)


def table(kept):
    """Layers of nets: `kept` has (method, seed) → weights kept of the two layers."""
    rows = []
    for (method, seed), counts in kept.items():
        identity = dict(zip(records.IDENTITY, (method, *GROUP, seed), strict=True))
        for place, (count, size) in enumerate(zip(counts, SIZES, strict=True)):
            row = {"place": place, "layer": f"layer{place}", "units": size, "kept_units": count}
            row |= {"weights": size, "kept_weights": count, "kept_share": count / size}
            rows.append(identity | row | {"dead": count == 0})
    return pd.DataFrame(rows, columns=tidy.LAYERS)


def test_shares_are_means_over_seeds_in_the_nets_order():
    found = layers.shares(GROUP, table({("b", 0): (10, 30), ("a", 0): (20, 0), ("a", 1): (40, 30)}))
    assert list(found.columns) == ["layer0", "layer1"]
    np.testing.assert_allclose(found.loc["a"], [0.3, 0.05])


def test_traits_of_a_uniform_and_of_a_one_sided_net():
    members = records.records([evaluation("a", worst=0.4), evaluation("b", worst=0.2)])
    found = layers.traits(GROUP, members, table({("a", 0): (10, 30), ("b", 0): (40, 0)}))
    assert found.loc["a", "moved"] == pytest.approx(0)
    assert found.loc["b", "moved"] == pytest.approx(0.75)  # 300 of 400 weights are in the other
    assert found.loc["b", ["narrowest", "first", "last", "dead"]].tolist() == [0, 0.4, 0, 1]
    assert found.loc["a", "worst"] == 40
    assert layers.explained(found) == []  # two methods say nothing


def test_a_trait_that_orders_methods_is_found_and_one_that_is_constant_is_not_tested():
    kept = {(f"m{i}", 0): (10 + i, 30) for i in range(10)}
    members = records.records([evaluation(f"m{i}", worst=0.1 + i / 20) for i in range(10)])
    found = layers.explained(layers.traits(GROUP, members, table(kept)))
    rho = {row["trait"]: row["rho"] for row in found}
    assert rho["first"] == pytest.approx(1) and "dead" not in rho and "last" not in rho
    assert all(row["p"] < 0.05 and row["methods"] == 10 for row in found if row["trait"] == "first")


def test_the_matrix_has_what_is_found_above_and_chance_below_the_diagonal():
    pairs = pd.DataFrame(
        [("b", "a", 0.5, 0.1), ("b", "a", 0.7, 0.1), ("a", "a", 0.9, 0.2)],
        columns=["method", "other", "jaccard", "expected"],
    )
    found = layers.matrix(pairs, ["a", "b", "c"])
    np.testing.assert_allclose(found[:2, :2], [[0.9, 0.6], [0.1, np.nan]])
    assert np.isnan(found[2]).all()


def test_a_dead_layer_is_black_and_a_group_without_audits_has_no_figure():
    members = records.records([evaluation("a"), evaluation("b")])
    shares = table({("a", 0): (40, 0), ("b", 0): (10, 30)})
    figure = layers.heat_map(GROUP, members, shares, {})
    (patch,) = figure.axes[0].patches
    assert patch.get_xy() == (0.5, -0.5) and patch.get_facecolor()[:3] == (0, 0, 0)
    assert layers.heat_map(GROUP, members, shares[:0], {}) is None
    assert layers.overlap_map(GROUP, members, pd.DataFrame(), {}) is None
