"""Effects of traits: known ones are found, none gives intervals that cover zero at their level."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from advprune.report.answers.effects import FEWEST, effects, hedges, heights
from advprune.report.answers.means import PLACE
from advprune.report.answers.traits import CHANCE, of_methods, with_traits
from helpers.report_samples import METHODS


def row(unit, sparsity=0.9, worst=0.3, structure="unstructured", objective="pgd", **extra):
    """A method in a group, as `traits.with_traits` has it."""
    known = dict(zip(PLACE, ("cifar10", "resnet18", structure, sparsity), strict=True))
    traits = {"stage": "after training", "locality": "global", "criterion": "LWM"}
    traits |= {"schedule": "one shot", "freedom": "one rate", "reference": False}
    known |= {"method": unit, "unit": unit, "variant": False, "worst": worst}
    return known | {"objective": objective} | traits | extra


def simulated(rng, effect=0.0, methods=12, groups=(0.9, 0.95, 0.99)):
    """Half of the methods prune before training; methods differ, and every net has luck."""
    rows = []
    for m in range(methods):
        stage = ("after training", "before training")[m % 2]
        own = rng.normal(0.3, 0.05) + effect * (m % 2)
        for sparsity in groups:
            if rng.random() < 0.85:  # not all methods are everywhere
                worst = own - sparsity + rng.normal(0, 0.02)
                rows.append(row(f"m{m:02}", sparsity, worst, stage=stage))
    return pd.DataFrame(rows)


def stage(rows):
    found = effects(rows)
    return found[found["trait"] == "stage"].iloc[0]


def test_one_group_gives_welchs_test_over_methods():
    a, b = [0.3, 0.35, 0.32, 0.4], [0.2, 0.22, 0.31, 0.25, 0.28]
    rows = [row(f"a{i}", worst=v, stage="before training") for i, v in enumerate(a)]
    rows += [row(f"b{i}", worst=v) for i, v in enumerate(b)]
    found = stage(pd.DataFrame(rows))
    test = ttest_ind(a, b, equal_var=False)
    assert found["difference"] == pytest.approx(np.mean(a) - np.mean(b))
    assert found["p"] == pytest.approx(test.pvalue) == found["p_adjusted"]
    assert (found["low"], found["high"]) == pytest.approx(tuple(test.confidence_interval()))
    assert (found["methods"], found["base_methods"], found["groups"]) == (4, 5, 1)


def test_heights_are_exact_without_noise_though_methods_are_not_everywhere():
    level = {"a": 0.1, "b": 0.2, "c": 0.35}
    where = {"a": (0.9, 0.95), "b": (0.95, 0.99), "c": (0.9, 0.99)}
    rows = [row(m, s, level[m] - s) for m in level for s in where[m]]
    found = heights(pd.DataFrame(rows))
    expected = pd.Series(level) - np.mean(list(level.values()))
    assert found.to_dict() == pytest.approx(expected.to_dict())


def test_methods_that_no_common_group_connects_are_not_compared():
    rows = [row("a", 0.9), row("b", 0.9), row("lonely", 0.5)]
    assert set(heights(pd.DataFrame(rows)).index) == {"a", "b"}


def test_a_known_effect_is_recovered():
    found = stage(simulated(np.random.default_rng(0), effect=-0.2))
    assert found["low"] < -0.2 < found["high"] < 0 and found["p_adjusted"] < 0.01


def test_no_effect_gives_intervals_that_cover_zero_at_about_their_level():
    rng = np.random.default_rng(3)
    found = [stage(simulated(rng)) for _ in range(60)]
    missed = sum(f["low"] > 0 or f["high"] < 0 for f in found)
    assert missed <= 9  # of 60 about 3; more than 9 would happen about once in 1,000


def test_a_method_counts_once_however_many_rows_it_has():
    """Twelve groups of the same four methods are no evidence of twelve times as many."""
    rows = [
        row(f"m{m}", s, 0.3 + 0.1 * m, stage="before training" if m % 2 else "after training")
        for m in range(8)
        for s in np.linspace(0.5, 0.99, 12)
    ]
    found = stage(pd.DataFrame(rows))
    assert found["p"] == pytest.approx(stage(pd.DataFrame(rows[::12]))["p"])


def test_few_methods_have_a_difference_and_no_interval():
    rows = [row(f"a{i}", worst=0.3, stage="during training") for i in range(FEWEST - 1)]
    rows += [row(f"b{i}", worst=0.2) for i in range(9)]
    found = stage(pd.DataFrame(rows))
    assert found["difference"] == pytest.approx(0.1)
    assert np.isnan(found["low"]) and np.isnan(found["p_adjusted"])


def test_a_method_under_two_objectives_is_its_own_control():
    rng = np.random.default_rng(0)
    rows = []
    for m in range(5):
        own = rng.uniform(0.1, 0.6)
        rows.append(row(f"m{m}", worst=own))
        worst = own - 0.05 + rng.normal(0, 0.001)
        rows.append(row(f"m{m}", worst=worst, objective="trades", variant=True))
    found = effects(pd.DataFrame(rows)).set_index(["trait", "design"])
    within = found.loc[("objective", "within methods")]
    assert within["low"] < -0.05 < within["high"] < -0.04 and within["methods"] == 5


def test_structures_are_compared_at_equal_sparsity_only():
    rows = [row(f"m{m}", 0.9, 0.3) for m in range(4)]
    rows += [row(f"m{m}", 0.5, 0.5, structure="filters") for m in range(4)]
    assert "structure" not in set(effects(pd.DataFrame(rows))["trait"])
    rows += [row(f"m{m}", 0.9, 0.1 + m / 1000, structure="filters") for m in range(4)]
    found = effects(pd.DataFrame(rows)).set_index("trait").loc["structure"]
    assert found["difference"] == pytest.approx(-0.2, abs=0.01)


def test_random_pruning_and_natural_training_enter_no_contrast_between_methods():
    rows = [
        row(f"m{m}", worst=0.3, locality="layer by layer" if m % 2 else "global") for m in range(8)
    ]
    rows += [row("random", worst=0.0, criterion=CHANCE), row("n", worst=0.0, objective="natural")]
    found = effects(pd.DataFrame(rows))
    assert found.set_index("trait").loc["locality", "difference"] == pytest.approx(0)


def test_traits_together_are_told_apart_where_families_overlap():
    """Early methods are mostly local: the raw contrast of localities holds a part of the stage."""
    rng = np.random.default_rng(5)
    rows = []
    for m in range(40):
        early, local = m % 2, (m % 4 == 1) or (m % 8 == 0) or (m % 8 == 3)
        worst = 0.4 - 0.2 * early + rng.normal(0, 0.01)
        stage_ = "before training" if early else "after training"
        place = "layer by layer" if local else "global"
        rows.append(row(f"m{m}", worst=worst, stage=stage_, locality=place))
    found = effects(pd.DataFrame(rows)).set_index("trait").loc["locality"]
    assert found["difference"] > 0.05
    assert -0.02 < found["together_low"] < found["together_high"] < 0.02


def test_hedges_is_a_little_less_than_the_difference_in_standard_deviations():
    a, b = np.arange(5.0) + 1, np.arange(5.0)
    assert hedges(a, b) == pytest.approx((1 - 3 / 31) / np.std(a, ddof=1))


def test_levels_are_the_surveys_and_what_belongs_to_two_has_none():
    methods = {
        "a": {"stage": "before", "taxonomy": {"locality": "L, G", "schedule": "IT"}},
        "lwm": {"stage": "baseline", "taxonomy": {"finetuning": "AT", "criterion": "LWM"}},
        "dense": {"stage": "baseline", "taxonomy": {"criterion": "-"}},
    }
    found = of_methods(methods)
    assert found.loc["a", "stage"] == "before training" and pd.isna(found.loc["a", "locality"])
    assert found.loc["lwm", "stage"] == "after training" and found.loc["lwm", "criterion"] == "LWM"
    assert pd.isna(found.loc["dense", "stage"])


def test_without_any_pruned_model_there_are_no_effects():
    empty = pd.DataFrame([row("a")]).iloc[:0]
    assert effects(empty).empty and heights(empty).empty
    known = empty.drop(columns=["stage", "locality", "criterion", "schedule", "reference"])
    assert with_traits(known.assign(one_rate=0.0, external=False), METHODS).empty
