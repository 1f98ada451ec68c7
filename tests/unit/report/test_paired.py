from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from advprune.attacks.verdicts import pack, unpack
from advprune.base.errors import UserError
from advprune.report.paired import compare, holm, level_with_best, markdown, sign_flip
from helpers.report_samples import evaluation

IMAGES = 40


def robust(*images):
    """Verdicts in which the given images are robust."""
    bits = np.zeros(IMAGES, dtype=bool)
    bits[list(images)] = True
    return {"robust_images": pack(bits), "images": IMAGES}


def by_enumeration(differences):
    total = abs(sum(differences))
    sums = [abs(np.dot(s, differences)) for s in product([-1, 1], repeat=len(differences))]
    return np.mean([s >= total for s in sums])


@pytest.mark.parametrize(
    "differences", [[3, -1, 2, 0, 1], [1, 1, -2], [2, 2, 2, 2, -1, 0], [1, -1], [3]]
)
def test_the_sign_flip_test_counts_all_sign_patterns(differences):
    assert sign_flip(differences) == pytest.approx(by_enumeration(differences))


@pytest.mark.parametrize(("ours", "theirs"), [(22, 1), (12, 3), (5, 5), (0, 4)])
def test_with_one_seed_it_is_mcnemars_exact_test(ours, theirs):
    p_value = sign_flip([1] * ours + [-1] * theirs + [0] * 60)
    assert p_value == pytest.approx(binomtest(ours, ours + theirs).pvalue)


def test_no_difference_at_all_has_p_one():
    assert sign_flip([0] * 10) == 1.0
    assert sign_flip([2, -2]) == 1.0


def test_holm_multiplies_step_by_step_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("samples", [0, 1, 8, 13, 100])
def test_packed_verdicts_come_back(samples):
    bits = np.random.default_rng(0).random(samples) < 0.5
    assert (unpack(pack(bits), samples) == bits).all()


@pytest.mark.parametrize(("text", "samples"), [("zz", 8), ("ff", 9), ("ffff", 8)])
def test_text_that_is_no_packed_verdicts_is_refused(text, samples):
    with pytest.raises(UserError, match="packed verdicts"):
        unpack(text, samples)


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
    assert row["p_value"] == pytest.approx(sign_flip(expected))
    assert row["verdict"] == "above"


def test_a_difference_that_a_seed_contradicts_gets_no_verdict():
    runs = [
        evaluation("hydra", seed=0, **robust(*range(39))),
        evaluation("hydra", seed=1, **robust(3)),
        evaluation("random", seed=0, **robust()),
        evaluation("random", seed=1, **robust(4, 5)),
    ]
    row = compare(runs).iloc[0]
    assert row["p_adjusted"] < 0.001
    assert row["verdict"] == "not told apart"


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


def test_the_tables_name_winners_in_bold_and_mark_flags():
    runs = [
        evaluation("hydra", **robust(*range(30))),
        evaluation("random", **robust(*range(10)), status="flagged", reason="why"),
        evaluation("lwm", **robust(*range(11))),
    ]
    text = markdown(compare(runs), {"hydra": "HYDRA"})
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [line.split(" | ")[0] for line in lines] == ["| HYDRA", "| lwm", "| random †"]
    assert "**+50.0 (+50 to +50), 20 : 0, p < 0.001**" in lines[0]
    assert "| – |" in lines[1] and "1 : 0, p = 1.000" in lines[1] and "**" not in lines[1]


def level(*runs):
    return {method for _, method in level_with_best(runs)}


def run(method, kept, seed=0, **extra):
    return evaluation(method, seed=seed, worst=len(kept) / IMAGES, **robust(*kept), **extra)


def test_level_are_the_methods_that_the_test_cannot_tell_from_the_best():
    """5 : 0 images have p = 0.0625; 6 : 0 have 0.031, too much for one of two comparisons."""
    assert level(run("best", range(30)), run("five", range(25))) == {"best", "five"}
    assert level(run("best", range(30)), run("six", range(24))) == {"best"}
    three = [run("best", range(30)), run("six", range(24)), run("also", range(6, 30))]
    assert level(*three) == {"best", "six", "also"}


def test_the_best_has_the_highest_mean_and_every_seed_must_agree():
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
