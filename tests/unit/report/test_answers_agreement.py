"""Published numbers beside ours: which belongs to which, and what agreement of ranks means."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from advprune.report.answers import agreement
from advprune.report.answers.agreement import beside, chance, interval, ranks, spearman
from advprune.report.answers.means import means, models
from helpers.report_samples import evaluation

KINDS = {"filters": "structured", "unstructured": "unstructured"}


def ours(method="hydra", worst=0.3, dataset="cifar10", arch="resnet18", **extra):
    variant = extra.pop("variant_of", None)
    content = evaluation(method, worst=worst, **extra)
    content["model"] |= {"dataset": dataset, "arch": arch, "variant_of": variant}
    return content | {"settings": {"width": 8}}


def published(*rows):
    """Rows of (method, sparsity in percent, AutoAttack in percent), and others by name."""
    names = ("method", "sparsity_percent", "autoattack_accuracy")
    base = {"dataset": "cifar10", "arch": "resnet18", "structure": "unstructured"}
    base |= {"clean_accuracy": 80.0, "eps": 0.031, "test_images": 10_000}
    return pd.DataFrame(
        [
            base | dict(zip(names, row[:3], strict=True)) | (row[3] if row[3:] else {})
            for row in rows
        ]
    )


def pairs(evaluations, *rows):
    return beside(means(models(evaluations)), published(*rows))


def test_a_counterpart_is_the_mean_of_our_seeds_beside_the_published_share():
    row = pairs([ours(seed=0, worst=0.3), ours(seed=1, worst=0.4)], ("hydra", 90, 45.0)).iloc[0]
    assert (row["worst"], row["published_autoattack"]) == pytest.approx((0.35, 0.45))
    assert row["difference"] == pytest.approx(-0.1)
    assert (row["seeds"], row["exact"], row["differs"]) == (2, True, "")
    assert (row["eps"], row["published_eps"], row["width"]) == (0.2, 0.031, 8)


def test_without_the_same_conditions_the_nearest_are_said():
    rows = [("hydra", 95, 40.0), ("hydra", 99, 30.0), ("hydra", 90, 50.0, {"arch": "vgg16"})]
    row = pairs([ours()], *rows).iloc[0]
    assert (row["published_arch"], row["published_sparsity"]) == ("resnet18", 0.95)
    assert not row["exact"] and row["differs"] == "sparsity"
    assert pairs([ours()], rows[2]).iloc[0]["differs"] == "net"


def test_filters_are_what_the_list_calls_structured():
    rows = [("hydra", 50, 40.0, {"structure": "structured"}), ("hydra", 50, 20.0)]
    row = pairs([ours(structure="filters", sparsity=0.5)], *rows).iloc[0]
    assert row["published_autoattack"] == 0.4 and row["exact"]


@pytest.mark.parametrize(
    "other",
    [{"dataset": "digits"}, {"method": "awt"}, {"variant_of": "lwm"}, {"status": "flagged"}],
)
def test_other_datasets_methods_variants_and_flagged_models_have_none(other):
    assert pairs([ours(**other)], ("hydra", 90, 45.0)).empty


def five(*worst):
    keys = ("hydra", "harp", "mad", "rst", "radmm")
    return [ours(key, worst=value) for key, value in zip(keys, worst, strict=False)], keys


def test_ranks_are_compared_over_exact_counterparts_of_a_group():
    evaluations, keys = five(0.1, 0.2, 0.3, 0.4, 0.5)
    found = pairs(
        evaluations, *((k, 90, a) for k, a in zip(keys, (15, 20, 40, 30, 50), strict=True))
    )
    row = ranks(found).iloc[0]
    assert (row["methods"], row["spearman"]) == (5, pytest.approx(0.9))
    assert row["low"] <= 0.9 <= row["high"]


def test_four_methods_give_no_correlation_because_none_could_be_rare():
    evaluations, keys = five(0.1, 0.2, 0.3, 0.4)
    row = ranks(pairs(evaluations, *((k, 90, 20.0) for k in keys))).iloc[0]
    assert row["methods"] == 4 and np.isnan(row["spearman"])
    assert chance(np.arange(4), np.arange(4)) > agreement.LEVEL


def test_groups_stand_in_the_order_of_all_tables():
    targets = (("filters", 0.5), ("unstructured", 0.99), ("unstructured", 0.9))
    evaluations = [ours(structure=s, sparsity=p) for s, p in targets]
    theirs = [("hydra", 100 * p, 40.0, {"structure": KINDS[s]}) for s, p in targets]
    found = ranks(pairs(evaluations, *theirs))
    assert list(zip(found["structure"], found["sparsity"], strict=True)) == [*reversed(targets)]


def test_standing_is_freed_of_what_both_sides_have_in_common():
    evaluations, keys = five(0.1, 0.2, 0.3, 0.4)
    found = pairs(evaluations, *((k, 90, a) for k, a in zip(keys, (30, 40, 50, 60), strict=False)))
    assert found["relative_difference"].tolist() == pytest.approx([0] * 4)
    assert found["difference"].tolist() == pytest.approx([-0.2] * 4)


def test_the_drop_needs_a_dense_net_on_both_sides():
    dense = ours("dense", worst=0.5, structure="none", sparsity=0.0)
    theirs = ("dense", 0, 60.0, {"structure": "none"})
    row = pairs([dense, ours()], ("hydra", 90, 45.0), theirs).iloc[0]
    assert (row["drop"], row["published_drop"]) == pytest.approx((0.2, 0.15))
    assert row["drop_difference"] == pytest.approx(0.05)
    row = pairs([dense, ours()], ("hydra", 90, 45.0)).iloc[0]
    assert row["drop"] == pytest.approx(0.2) and np.isnan(row["drop_difference"])


def test_spearman_is_scipys_with_ties_too():
    rng = np.random.default_rng(0)
    x, y = rng.integers(5, size=(2, 30))
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert np.isnan(spearman(np.ones(4), np.arange(4)))


def test_equal_orders_are_known_to_be_so_and_opposite_ones():
    x = np.arange(12.0)
    assert interval(x, x**3) == (1, 1) and chance(x, x**3) < 0.001
    assert interval(x, -x) == (-1, -1)


def test_orders_at_random_seldom_look_like_agreement():
    """Over 200 pairs of unrelated orders of ten methods the interval misses zero in about 5 %."""
    rng = np.random.default_rng(1)
    missed, surprised = 0, 0
    for _ in range(200):
        x, y = rng.normal(size=(2, 10))
        low, high = interval(x, y, draws=400)
        missed += low > 0 or high < 0
        surprised += chance(x, y, draws=400) < agreement.LEVEL
    assert missed <= 24 and surprised <= 20  # 12 and 10 %, beyond which 5 % would be rare
