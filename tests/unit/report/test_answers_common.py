"""The top group and its traits, what goes wrong by family, and the sections that tell it."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from advprune.evaluation.best_known import summarise
from advprune.evaluation.evaluate import curve
from advprune.report.answers import agreement, best_known, common, means, tell_agreement, traits
from advprune.report.answers.effects import effects
from advprune.report.answers.section import Section, read_sections
from advprune.report.answers.tell_survey import section
from advprune.report.records import load_methods, names
from helpers.checkout import ROOT
from helpers.report_samples import evaluation, failed, trained

METHODS = load_methods((ROOT / "config" / "methods").glob("*.yaml"))
HOSTILE = '<script>alert(1)</script> $x^2$ "&'
LEVELS = {"stage", "locality", "criterion", "schedule", "freedom", "objective"}


def model(method, worst=0.3, structure="unstructured", sparsity=0.9, **extra):
    """An evaluation with what the analyses look at besides."""
    rng = np.random.default_rng(int(1000 * worst))
    distance = pd.DataFrame({"hofmn": rng.gamma(3, 0.1, 50), "autoattack": np.inf})
    distance.loc[:9, "autoattack"] = 0.15
    layers = {"layers": 4, "empty": 0, "lowest": 0.05, "highest": 0.2, "one_rate": False}
    found = {"layers": layers, "best_known": summarise(distance, 0.2), "training": trained()}
    found["curve"] = curve(distance["hofmn"].to_numpy(), 0.2)
    return evaluation(method, structure, sparsity, worst=worst, **found | extra)


def dense(**extra):
    return model("dense", 0.5, "none", 0.0, **extra)


KEYS = ("hydra", "harp", "mad", "rst", "radmm", "awt", "li20", "wang20", "flyingbird", "lwm")
RUN = [model(key, 0.2 + i / 50) for i, key in enumerate(KEYS)] + [dense(), failed()]


def rows_of(evaluations):
    return traits.with_traits(means.means(means.models(evaluations)), METHODS)


def test_the_top_is_in_the_order_of_the_worst_case_with_its_mark():
    rows = rows_of(RUN)
    group = ("digits", "resnet18", "unstructured", 0.9)
    level = {(group, key): "≈ best" for key in ("lwm", "flyingbird")}
    found = common.top(rows, level)
    assert found["method"].tolist() == ["lwm", "flyingbird"]
    assert found["mark"].unique().tolist() == ["≈ best"]


def test_traits_of_the_top_are_counted_over_methods():
    rows = rows_of(RUN)
    best = rows[rows["unit"].isin(["hydra", "radmm", "rst"])]
    found = common.shared(rows, best).set_index(["trait", "level"])
    local = found.loc[("locality", "layer by layer")]
    # LWM is the only other one that ranks within layers; AWT has no level
    assert (local["top"], local["top_of"], local["rest"], local["rest_of"]) == (3, 3, 1, 6)
    assert local["p"] == pytest.approx(fisher_exact([[3, 0], [1, 5]]).pvalue)
    assert set(found.index.get_level_values(0)) == LEVELS - {"objective"}  # not known here


def test_a_trait_with_two_levels_is_one_test_and_one_that_all_have_is_none():
    rows = rows_of(RUN).assign(freedom="rates differ", schedule=["one shot", "iterative"] * 5)
    found = common.shared(rows, rows.head(3)).set_index(["trait", "level"])
    assert found.loc["freedom", ["p", "p_adjusted"]].isna().all(axis=None)
    for trait in ("schedule", "locality"):
        (first, second) = found.loc[trait, ["p", "p_adjusted"]].to_numpy()
        assert first == pytest.approx(second)
    tested = found[found["p"].notna()]
    pairs = {"schedule", "locality"}
    tests = sum(1 if trait in pairs else len(own) for trait, own in tested.groupby("trait")) - (
        tested.groupby("trait").size().drop(list(pairs)).eq(2).sum()
    )
    assert tested["p_adjusted"].min() == pytest.approx(min(1, tests * tested["p"].min()))


def test_issues_are_counted_by_family_and_overfitting_over_methods():
    marked = {"reliability": {"marks": ["square_alone", "disagreement"]}}
    runs = [
        model("hydra", training=trained(pgd20_best=0.5, pgd20_last=0.4), **marked),
        model("li20", training=trained(pgd20_best=0.5, pgd20_last=0.5, marks=["collapsed"])),
        model("awt", status="flagged", reason="one answer", layers={"empty": 2, "one_rate": True}),
        dense(**marked),
    ]
    frame = means.models(runs)
    found = common.issues(frame, traits.of_methods(METHODS)).set_index(["family_kind", "family"])
    everything = found.loc[("all", "all")]
    assert (everything["models"], everything["flagged"], everything["collapsed"]) == (3, 1, 1)
    assert (everything["square_alone"], everything["emptied_layers"]) == (1, 1)
    assert (everything["overfitted"], everything["pgd_known"]) == (2, 3)
    assert everything["overfitting"] == pytest.approx((0.1 + 0 + 0.1) / 3)
    assert np.isnan(everything["overfitting_low"])  # three methods
    assert found.loc[("stage", "before training"), "models"] == 2


def test_places_follow_the_best_known_height():
    found = best_known.table(RUN)
    own = found[found["structure"] == "unstructured"]
    assert own["area"].is_monotonic_decreasing and own["place_area"].is_monotonic_increasing
    assert own["overstated"].to_numpy() == pytest.approx(own["hofmn_area"] - own["area"])
    assert (own["overstated"] >= 0).all()


def test_attacks_of_other_libraries_are_told_on_their_own_sample(tmp_path):
    other = RUN[0]["model"] | {"images": 50, "area_so_far": 0.5}
    others = [other | {"attack": "a", "area": 0.5}, other | {"attack": "b", "area": 0.47}]
    files = (tmp_path / "a.png",)
    told = best_known.section(RUN, {}, best_known.table(RUN), others, files).text
    assert any("first 50 test images of 1 model" in text and "3.0 points" in text for text in told)


def sections(evaluations, folder):
    """All three, as the scripts make them."""
    known = METHODS | {"hydra": METHODS["hydra"] | {"name": HOSTILE}}
    shown, files = names(known), (folder / "a.png",)
    frame = means.models(evaluations)
    mean = means.means(frame)
    rows = traits.with_traits(mean, known)
    group = ("digits", "resnet18", "unstructured", 0.9)
    best = common.top(rows, {(group, key): "≈ best on these nets" for key in ("hydra", "lwm")})
    found = (effects(rows), best, common.shared(rows, best))
    issues = common.issues(frame, traits.of_methods(known))
    listed = pd.DataFrame(
        {"dataset": "digits", "arch": "resnet18", "method": KEYS, "structure": "unstructured"}
    ).assign(clean_accuracy=80.0, sparsity_percent=90, eps=0.031, test_images=10_000)
    listed["autoattack_accuracy"] = np.arange(len(KEYS)) + 20.0
    pairs = agreement.beside(mean, listed)
    yield section(rows, *found, issues, shown, files)
    yield tell_agreement.section(mean, pairs, agreement.ranks(pairs), shown, listed, files)
    yield best_known.section(evaluations, shown, best_known.table(evaluations), [], files)


def check(found: Section):
    assert found.text and all(found.text)
    assert all(len(row) == len(grid.header) for grid in found.grids for row in grid.rows)
    cells = [cell for grid in found.grids for row in grid.rows for cell in row]
    assert not {"nan", "None", "nan %"} & {*cells}
    assert not [text for text in found.text if " nan" in text]
    for picture in found.pictures:
        assert picture.svg.startswith("<svg") and "<script>" not in picture.svg
        assert picture.alt and picture.caption


def test_the_sections_tell_a_run_and_survive_the_way_through_a_file(tmp_path):
    for found in sections(RUN, tmp_path):
        check(found)
        path = tmp_path / f"{found.key}.json"
        found.write(path)
        assert read_sections([path]) == [found]
        assert found.pictures and found.grids


@pytest.mark.parametrize(
    "run", [[dense()], [failed()], [dense(), evaluation()], [model("hydra", status="flagged")]]
)
def test_a_run_with_next_to_nothing_has_sections_that_say_so(run, tmp_path):
    for found in sections(run, tmp_path):
        check(found)


def test_equal_runs_give_equal_sections(tmp_path):
    first, second = (
        [json.dumps([f.text, [p.svg for p in f.pictures]]) for f in sections(RUN, tmp_path)]
        for _ in range(2)
    )
    assert first == second


def test_one_method_is_compared_with_nothing(tmp_path):
    told = next(sections([model("hydra"), dense()], tmp_path)).text
    assert any("nothing is compared" in text for text in told)
    assert any("so that none is tested" in text for text in told)
