"""Methods against references: which is compared with which, and what is said of it."""

import math
from itertools import chain

import numpy as np
import pytest
from scipy.stats import ttest_rel

from advprune.attacks.verdicts import pack
from advprune.base.errors import UserError
from advprune.evaluation.significance import holm, sign_flip
from advprune.report.paired import compare, level_with_best, markdown
from helpers.report_samples import evaluation

IMAGES = 40


def robust(*images):
    """Verdicts in which the given images are robust."""
    bits = np.zeros(IMAGES, dtype=bool)
    bits[list(images)] = True
    return {"robust_images": pack(bits), "images": IMAGES}


def test_methods_are_compared_image_by_image_over_common_seeds():
    runs = [
        evaluation("hydra", seed=0, **robust(*range(30))),
        evaluation("hydra", seed=1, **robust(*range(20))),
        evaluation("hydra", seed=2, **robust()),
        evaluation("lwm", seed=0, **robust(*range(5, 20))),
        evaluation("lwm", seed=1, **robust(*range(18), 35)),
    ]
    frame = compare(runs)
    assert len(frame) == 1
    row = frame.iloc[0]
    assert (row["method"], row["reference"], row["seeds"], row["images"]) == ("hydra", "lwm", 2, 40)
    assert row["difference"] == pytest.approx((15 / 40 + 1 / 40) / 2)
    assert (row["lowest_seed"], row["highest_seed"]) == pytest.approx((1 / 40, 15 / 40))
    assert (row["only_method"], row["only_reference"]) == (17, 1)
    # images 0-4 and 20-29: one seed; 18 and 19: (1, 1) and (1, 0); 35: -1 in one seed
    expected = [1] * 5 + [1] * 10 + [1] * 2 + [-1]
    assert row["p_images"] == pytest.approx(sign_flip(expected))
    assert row["verdict"] == "above on these nets"


def trained(method, objective, kept, variant_of=None, seed=0, **extra):
    content = evaluation(method, seed=seed, **robust(*kept), **extra)
    content["model"] |= {"objective": objective, "variant_of": variant_of}
    return content


VARIED = (4, -3, 0, 2, 1)  # what a seed gives or takes


def five(method, first, seeds=5, more=VARIED):
    """A method that holds the images before `first`, more or fewer by seed."""
    return [run(method, range(first + more[s]), s) for s in range(seeds)]


def verdict(*runs):
    return compare([*chain(*runs)]).set_index("method")


def test_a_difference_that_a_seed_contradicts_gets_no_verdict():
    runs = [
        evaluation("hydra", seed=0, **robust(*range(39))),
        evaluation("hydra", seed=1, **robust(3)),
        evaluation("random", seed=0, **robust()),
        evaluation("random", seed=1, **robust(4, 5)),
    ]
    row = compare(runs).iloc[0]
    assert row["p_images_adjusted"] < 0.001
    assert row["verdict"] == "not told apart"


@pytest.mark.parametrize(("seeds", "claim"), [(1, False), (4, False), (5, True)])
def test_a_claim_about_methods_needs_five_seeds(seeds, claim):
    frame = verdict(five("hydra", 30, seeds), five("lwm", 15, seeds, more=(0, 1, 2, 0, 1)))
    row = frame.loc["hydra"]
    assert row["seeds"] == seeds
    assert row["p_images_adjusted"] < 0.001
    assert row["verdict"] == ("above" if claim else "above on these nets")
    assert math.isnan(row["p_trainings"]) == (seeds == 1)
    assert math.isnan(row["p_trainings_adjusted"]) == (not claim)
    assert ("**+" in markdown(frame.reset_index(), {})) == claim


def test_over_trainings_the_differences_of_the_seeds_are_tested():
    ours, theirs = [30, 22, 25, 27, 26], [25, 26, 20, 22, 21]
    runs = [run("hydra", range(n), s) for s, n in enumerate(ours)]
    runs += [run("lwm", range(n), s) for s, n in enumerate(theirs)]
    row = compare(runs).iloc[0]
    assert row["p_trainings"] == pytest.approx(ttest_rel(ours, theirs).pvalue)
    assert row["p_trainings"] > 0.05 > row["p_images"]
    assert row["verdict"] == "not told apart"  # the second seed contradicts


def test_seeds_that_agree_too_well_are_not_proof_by_themselves():
    """No spread at all: five signs have p = 1/16, however small a t-test would call it."""
    same = [0] * 5
    row = verdict(five("hydra", 30, more=same), five("lwm", 15, more=same)).loc["hydra"]
    assert row["p_trainings"] == pytest.approx(1 / 16)
    assert row["verdict"] == "above on these nets"


def test_one_image_that_all_seeds_have_is_no_claim():
    """Over trainings it is certain, but another draw of images need not have it."""
    frame = verdict(five("hydra", 20, more=[1, 2, 1, 1, 1]), five("lwm", 20, more=[0] * 5))
    assert frame.loc["hydra", "p_trainings"] < 0.05
    assert frame.loc["hydra", "verdict"] == "not told apart"


def test_all_comparisons_of_a_column_are_corrected_together():
    sizes = {"awt": 31, "hydra": 24, "mad": 19}
    frame = verdict(five("lwm", 15, more=[0, 1, 2, 0, 1]), *(five(m, n) for m, n in sizes.items()))
    for name in ("p_images", "p_trainings"):
        rows = frame.loc[list(sizes)]
        assert list(rows[f"{name}_adjusted"]) == pytest.approx(holm(list(rows[name])))


# like with like


def compared(*runs):
    frame = compare(runs)
    columns = ["method", "reference", "reference_objective"]
    return set(frame[columns].itertuples(index=False, name=None))


def test_a_method_is_compared_with_the_reference_of_its_objective_and_with_the_common_one():
    found = compared(
        trained("hydra", "trades", range(20)),
        trained("harp", "pgd", range(20)),
        trained("mad", "mart", range(20)),
        trained("lwm", "pgd", range(10)),
        trained("lwm-trades", "trades", range(8), "lwm"),
        trained("random", "pgd", range(8)),
        trained("random-trades", "trades", range(8), "random"),
    )
    assert found == {
        *(("hydra", f"{r}-trades", "trades") for r in ("lwm", "random")),
        *(("hydra", r, "pgd") for r in ("lwm", "random")),
        *(("harp", r, "pgd") for r in ("lwm", "random")),
        # no reference is trained by MART
        *(("mad", r, "pgd") for r in ("lwm", "random")),
        # references among themselves
        ("lwm", "random", "pgd"),
        ("random", "lwm", "pgd"),
        ("lwm-trades", "random-trades", "trades"),
        ("random-trades", "lwm-trades", "trades"),
    }


def test_a_variant_with_the_objective_of_its_method_is_not_the_reference():
    found = compared(
        trained("lwm-long", "pgd", range(20), "lwm"),
        trained("lwm", "pgd", range(10)),
        trained("hydra", "pgd", range(10)),
    )
    assert found == {("lwm-long", "lwm", "pgd"), ("hydra", "lwm", "pgd")}


def test_files_that_do_not_know_their_objective_are_compared_as_before():
    assert compared(evaluation("hydra", **robust(1)), evaluation("lwm", **robust(2))) == {
        ("hydra", "lwm", None)
    }


def test_the_table_has_a_line_for_each_objective_of_the_references_only_where_needed():
    runs = [
        trained("hydra", "trades", range(20)),
        trained("mad", "mart", range(12)),
        trained("lwm", "pgd", range(10)),
        trained("lwm-trades", "trades", range(8), "lwm"),
        trained("random", "pgd", range(9)),
    ]
    lines = [line for line in markdown(compare(runs), {}).splitlines() if line.startswith("|")]
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| hydra", "TRADES"],
        ["| hydra", "TRADES, against PGD"],
        ["| mad", "MART, against PGD"],
        ["| lwm", "PGD"],
        ["| random", "PGD"],
    ]
    assert "+30.0, 12 : 0" in lines[2] and "+25.0, 10 : 0" in lines[3]
    assert len({line.count("|") for line in lines}) == 1
    plain = markdown(compare([runs[2], runs[4]]), {})
    assert "Trained with" not in plain and "against PGD |" not in plain


def test_seeds_that_differ_by_more_than_the_limit_are_marked():
    runs = [*five("wide", 20, more=[0, 5, 2, 1, 0]), *five("tight", 20, more=[0, 4, 2, 1, 0])]
    frame = compare([*runs, *five("lwm", 10, more=[0] * 5)])
    spread = frame.set_index("method")["seed_spread"]
    assert dict(spread) == pytest.approx({"wide": 5 / 40, "tight": 4 / 40})
    lines = markdown(frame, {}).splitlines()
    assert {line.split(" | ")[0] for line in lines if "12.5 ↕" in line} == {"| wide"}
    assert {line.split(" | ")[0] for line in lines if "| 10.0 |" in line} == {"| tight"}
    assert math.isnan(compare([run("a", [1]), run("lwm", [2])])["seed_spread"][0])


def test_groups_are_not_mixed_and_references_compared_too():
    runs = [
        evaluation(m, structure=s, **robust(*range(k)))
        for m, s, k in [
            ("random", "unstructured", 1),
            ("lwm", "unstructured", 2),
            ("lwm", "filters", 9),
            ("radmm", "filters", 9),
        ]
    ]
    frame = compare([*runs, evaluation("dense", "none", 0.0, **robust())])
    assert set(zip(frame["structure"], frame["method"], frame["reference"], strict=True)) == {
        ("unstructured", "lwm", "random"),
        ("unstructured", "random", "lwm"),
        ("filters", "radmm", "lwm"),
    }


def test_other_test_images_are_an_error():
    runs = [evaluation("hydra", **robust(1)), evaluation("lwm", robust_images="ff", images=8)]
    with pytest.raises(UserError, match="other test images"):
        compare(runs)


def test_the_tables_mark_what_is_told_apart_on_these_nets_and_flags():
    runs = [
        evaluation("hydra", **robust(*range(30))),
        evaluation("random", **robust(*range(10)), status="flagged", reason="why"),
        evaluation("lwm", **robust(*range(11))),
    ]
    text = markdown(compare(runs), {"hydra": "HYDRA"})
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [line.split(" | ")[0] for line in lines] == ["| HYDRA", "| lwm", "| random †"]
    assert "| *+50.0, 20 : 0, p < 0.001* |" in lines[0]
    assert "| – |" in lines[1] and "+2.5, 1 : 0, p = 1.000" in lines[1] and "*" not in lines[1]


# which are level with the best


def level(*runs):
    return {method for _, method in level_with_best(runs)}


def run(method, kept, seed=0, **extra):
    return evaluation(method, seed=seed, worst=len(kept) / IMAGES, **robust(*kept), **extra)


def test_level_are_the_methods_that_the_test_cannot_tell_from_the_best():
    """6 : 0 images have p = 0.031; enough for one pair of methods, not for one of three."""
    assert level(run("best", range(30)), run("five", range(25))) == {"best", "five"}
    assert level(run("best", range(30)), run("six", range(24))) == {"best"}
    three = [run("best", range(30)), run("six", range(24)), run("also", range(6, 30))]
    assert level(*three) == {"best", "six", "also"}
    # 7 : 0 have 0.016, enough for one of three pairs, not for one of six
    assert level(run("best", range(30)), run("seven", range(23)), run("far", range(2))) == {"best"}
    others = [run(f"also{i}", range(30)) for i in range(2)]
    assert "seven" in level(run("best", range(30)), run("seven", range(23)), *others)


def test_the_mark_says_what_it_rests_on():
    for seeds, mark in ((4, "≈ best on these nets"), (5, "≈ best")):
        runs = five("best", 30, seeds) + five("near", 28, seeds)
        assert set(level_with_best(runs).values()) == {mark}


def test_over_trainings_a_noisy_method_is_not_below_the_best_by_its_mean():
    """Ten images of 40 are no luck of images, but may be luck where seeds deviate by ten."""
    best, noisy = five("best", 34), five("noisy", 24, more=(14, -14, 9, -12, 3))
    assert level(*best, *noisy) == {"best", "noisy"}
    assert level(*best, *five("below", 24, more=(2, 0, 1, 2, 0))) == {"best"}


def test_with_few_seeds_every_seed_must_agree():
    runs = [run("best", range(s, 30), s) for s in range(2)]
    runs += [run("below", range(k), s) for s, k in enumerate((8, 31))]  # better in the second
    assert level(*runs) == {"best", "below"}
    runs += [run("far", range(k), s) for s, k in enumerate((8, 20))]
    assert level(*runs) == {"best", "below"}


def test_flagged_dense_and_unlike_groups_do_not_matter():
    runs = [
        run("flagged", range(40), status="flagged", reason="why"),
        run("best", range(20)),
        run("far", range(2)),
        run("other", range(1), structure="filters"),
        evaluation("old", worst=0.99),  # without verdicts per image
        evaluation("dense", "none", 0.0, **robust(*range(40))),
    ]
    assert level(*runs) == {"best", "other"}
    assert {group[2] for group, method in level_with_best(runs) if method == "other"} == {"filters"}


def test_methods_without_a_common_seed_are_not_told_apart():
    assert level(run("best", range(30)), run("far", range(1), seed=1)) == {"best", "far"}
