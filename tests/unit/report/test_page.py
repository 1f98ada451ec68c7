"""The leaderboard page: self-contained, complete, and safe from what names hold.

What a reader sees is made by the page's scripts: tests/browser looks at it in a browser.
"""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from advprune.attacks.verdicts import pack
from advprune.base.errors import UserError
from advprune.evaluation.reliability import SHARES
from advprune.report import records
from advprune.report.answers.section import Grid, Picture, Section
from advprune.report.marks import MARKS
from advprune.report.page import data, document
from advprune.report.page.content import Content, Partial
from helpers import grid_samples
from helpers.report_samples import (
    METHODS,
    SEVERAL,
    cost,
    dense,
    evaluation,
    failed,
    method_entry,
    trained,
)

VOID = ("meta", "img", "input", "link", "br")


class Reader(HTMLParser):
    """Collects tags and visible text, and checks that tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += f" {data}"


def made(evaluations, methods=METHODS, **more):
    return document.render(Content(evaluations, methods, "demo", **more))


def shown(evaluations, methods=METHODS, **more):
    """The page's data, read back as its scripts do, with a list of rows."""
    found = json.loads(data.to_json(data.of(Content(evaluations, methods, "demo", **more))))
    for kind in ("rows", "models"):
        columns = found[kind]
        found[kind] = [
            dict(zip(columns, v, strict=True)) for v in zip(*columns.values(), strict=True)
        ]
    for row in found["rows"]:
        row["key"] = found["methods"][row["method"]]["key"]
    return found


def row_of(found, key, group=0):
    return next(r for r in found["rows"] if r["key"] == key and r["group"] == group)


@pytest.fixture(scope="module")
def html():
    """The page of a few models."""
    return made(SEVERAL)


def test_page_loads_nothing_from_elsewhere(html):
    for tag, attributes in Reader(html).tags:
        assert tag not in ("iframe", "object", "base")
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert tag != "link" or attributes == {"rel": "icon", "href": "data:,"}
        if "://" in str(attributes):
            assert tag == "a" and list(attributes) == ["href"]


def test_a_row_is_a_method_in_a_group_with_its_seeds():
    found = shown(SEVERAL)
    assert [g["title"] for g in found["groups"]] == [
        "unstructured, 90 % removed",
        "filters, 50 % removed",
    ]
    row = row_of(found, "hydra")
    assert row["worst"] == 30.0 and row["sd"] == 7.1 and row["used"] == 2
    assert (row["low"], row["high"]) == (20.0, 42.0)
    assert [found["models"][i]["seed"] for i in row["models"]] == [0, 1]
    assert [r["key"] for r in found["rows"] if r["group"] == 0] == [
        "dense",
        "awt",
        "hydra",
        "radmm",
    ]
    assert len(found["models"]) == len(SEVERAL)


def test_dense_nets_lead_every_group():
    found = shown(SEVERAL)
    assert [row_of(found, "dense", group)["dense"] for group in (0, 1)] == [1, 1]


def test_flagged_seeds_stay_out_of_means_and_bear_their_reason():
    bad = evaluation("awt", seed=1, worst=0.9, status="flagged", reason="sparsity is 0.5")
    found = shown([evaluation("awt", seed=0, worst=0.3), bad])
    row = row_of(found, "awt")
    assert row["worst"] == 30.0 and row["used"] == 1 and len(row["models"]) == 2
    assert ["status", "flag", "⚑ flagged 1/2", "seed 1: sparsity is 0.5"] in row["tags"]


def test_a_failed_model_is_a_row_without_numbers():
    row = row_of(shown(SEVERAL), "radmm")
    assert row["worst"] is None and not row["ok"] and row["curve"] is None
    assert row["tags"] == [["status", "flag", "⚑ collapsed", "loss is <NaN> & gone"]]


def test_text_from_outside_cannot_leave_the_data(html):
    assert "<NaN>" not in html and "Square <wins>" not in html
    assert html.count("</script>") == 5 and Reader(html)


def test_page_shows_what_attacks_warn_of():
    told = row_of(shown(SEVERAL), "awt")["tags"]
    assert ["says", "doubt", "△ warning", "gradients vanish; Square <wins>"] in told


def test_page_lists_what_was_run(html):
    text = " ".join(Reader(html).text.split())
    assert "Preset demo" in text and "1 of 6 models" in text
    assert "resnet18 · 6 models · Linf, eps = 1/5 · 200 test images · seeds 0, 1" in text
    assert "MIT licence" in text and "Adversarial Pruning: A Survey and Benchmark" in text


def test_every_mark_has_an_explanation(html):
    places = [a["id"] for _, a in Reader(html).tags if "id" in a]
    assert len(places) == len(set(places))
    keys = {*MARKS, "status", "level", "spread", "says", "training"}
    assert {f"mark-{key}" for key in keys} <= set(places)


def test_page_has_the_same_text(html):
    assert made(SEVERAL[::-1]) == html


def test_only_web_addresses_become_links():
    bad = {"hydra": method_entry("hydra", citation={"title": "t", "url": "javascript:alert(1)"})}
    assert "javascript:" not in data.to_json(shown(SEVERAL, bad))
    assert row_of(shown(SEVERAL), "hydra") and "https://arxiv.org/hydra" in made(SEVERAL)


def test_the_level_mark_belongs_to_methods_that_the_paired_test_cannot_tell_apart():
    """The intervals of all three overlap; on the same images one is below."""
    robust = {"top": range(100), "near": range(2, 100), "below": range(12, 100)}
    rows = [
        evaluation(m, worst=len(kept) / 200, robust_images=pack(np.isin(np.arange(200), kept)))
        for m, kept in robust.items()
    ]
    found = shown([dense(), *rows], {})
    level = ["level", "level", "≈ best*", "≈ best on these nets"]
    marked = {key: level in (row_of(found, key)["tags"] or []) for key in (*robust, "dense")}
    assert marked == {"top": True, "near": True, "below": False, "dense": False}


def test_methods_whose_seeds_differ_by_more_than_ten_points_are_marked():
    rows = [
        evaluation(m, seed=s, worst=w) for m in ("wide", "tight") for s, w in ((0, 0.3), (1, 0.4))
    ]
    found = shown([*rows, evaluation("wide", seed=2, worst=0.44)], {})
    assert [t[2] for t in row_of(found, "wide")["tags"]] == ["↕ 14.0"]
    assert not row_of(found, "tight").get("tags")


def test_unreliable_models_say_how_many_seeds_and_which_share():
    signs = dict.fromkeys(SHARES, 0.0) | {"disagreement": 0.18, "hofmn_missed": 0.175}
    signs |= {"hofmn_recovered": 3, "distance_before": None, "distance_after": 0.1875}
    row = evaluation(reliability=signs | {"marks": ["disagreement"]})
    found = shown([row, evaluation(seed=1)], {})
    own = row_of(found, "hydra")
    assert own["doubt"] and own["tags"] == [
        ["disagreement", "doubt", "△ disagree 1/2", "seed 0: attacks disagree 18.0 %"]
    ]
    model = found["models"][own["models"][0]]
    assert model["hofmn_missed"] == 17.5 and model["distance_after"] == 0.1875


def test_what_square_alone_says_is_not_said_again_as_a_warning():
    said = "Square Attack has decreased the robust accuracy of 1.00%. This might indicate more."
    signs = dict.fromkeys(SHARES, 0.0) | {"square_alone": 0.01, "hofmn_recovered": 0}
    signs |= {"distance_before": None, "distance_after": None, "marks": ["square_alone"]}
    row = evaluation(reliability=signs, warnings=[said, "gradients vanish"])
    texts = {tag[2]: tag[3] for tag in row_of(shown([row], {}), "hydra")["tags"]}
    assert list(texts) == ["△ Square alone", "△ warning"]
    assert texts["△ warning"] == "gradients vanish"
    assert len(row_of(shown([row | {"warnings": [said]}], {}), "hydra")["tags"]) == 1


def test_both_epochs_and_the_marks_of_the_training_are_told():
    mark = "single-step training collapsed in epoch 12"
    found = shown([evaluation(seed=0, training=trained(marks=[mark])), evaluation(seed=1)], {})
    row = row_of(found, "hydra")
    assert ["training", "note", "△ training 1/2", f"seed 0: {mark}"] in row["tags"]
    assert (row["pgd20_best"], row["pgd20_last"]) == (50.0, 40.0)
    assert found["models"][row["models"][0]]["best_epoch"] == 12


def test_costs_are_shown_where_there_are_any(html):
    key = ("hydra", "digits", "resnet18", "unstructured", 0.9, 1)
    known = {key: cost(1, compact_macs=2345, one_compact_ms=0.18968, batch_compact_ms=None)}
    models = shown(SEVERAL, costs=known)["models"]
    assert [m["compact_macs"] for m in models if m["compact_macs"]] == [2345]
    with_costs = made(SEVERAL, costs=known)
    assert "(x86_64, 1 thread)" in with_costs and "<dt>compact</dt>" not in html


def test_sections_are_escaped_and_their_figures_are_images():
    picture = Picture("<svg><script>1</script></svg>", 'an "alt"', "a <caption>")
    grid = Grid(["a"], [["<b>1</b>"]], "a table")
    sections = [Section("zzz", "Last", ["<i>x</i>"], [picture], [grid]), Section("survey", "S", [])]
    page = made(SEVERAL, sections=sections)
    Reader(page)
    assert "&lt;i&gt;x&lt;/i&gt;" in page and "&lt;b&gt;1&lt;/b&gt;" in page
    assert "<svg><script>" not in page and "data:image/svg+xml;base64," in page
    assert page.index('id="survey"') < page.index('id="zzz"')


def test_a_caption_that_figures_share_stands_once_and_wide_figures_have_room():
    narrow, wide = (Picture(f'<svg width="{w}pt"></svg>', "alt", "shared") for w in (252, 516))
    other = Picture('<svg width="252pt"></svg>', "alt", "of its own")
    page = made(SEVERAL, sections=[Section("survey", "S", ["Why? So."], [narrow, wide, other])])
    assert page.count("<figcaption>shared") == 1 and page.count("<figcaption>of its own") == 1
    assert page.count('class="broad"') == 1 and "<strong>Why?</strong> So." in page


def test_thin_ice_is_shown_where_there_is_any(tmp_path, html):
    assert "thin-ice" not in html
    figures = [tmp_path / f"{i}.png" for i in range(8)]
    for figure in figures:
        figure.write_bytes(b"\x89PNG")
    page = made(SEVERAL, thin_ice=figures)
    assert page.count('alt="Distances before and after pruning') == document.MOST_PICTURES
    assert 'href="thin_ice/7.png"' in page and 'id="thin-ice"' in page
    with pytest.raises(UserError, match=r"gone\.png"):
        made(SEVERAL, thin_ice=[tmp_path / "gone.png"])


def test_a_partial_page_says_what_is_not_done():
    row = {"name": "<b>", "state": "failed", "step": "prune", "reason": "a & b", "log": "l.log"}
    page = made(SEVERAL, partial=Partial("Partial: 6 of 7", [row]))
    assert "<title>Partial: " in page and "a &amp; b" in page and "<b>:" not in page


def test_only_files_that_are_there_are_linked(html):
    assert 'href="leaderboard.csv"' not in html
    page = made(SEVERAL, files=["leaderboard.csv", "unknown.bin"])
    assert 'href="leaderboard.csv"' in page and "unknown.bin" not in page


@pytest.mark.parametrize("only", [evaluation, dense, failed])
def test_one_model_is_enough(only):
    assert len(shown([only()], {})["rows"]) == 1


def test_curves_on_different_grids_are_refused():
    other = evaluation(seed=1)
    other["curve"] = other["curve"] | {"eps": [0.0, 0.1, 0.2, 0.4]}
    with pytest.raises(UserError, match="different grids"):
        shown([evaluation(), other])


def test_the_data_of_a_grid_are_finite_and_no_two_methods_look_alike():
    """`to_json` refuses what is not finite."""
    evaluations = grid_samples.evaluations(grid_samples.SMALL)
    known = records.known(grid_samples.methods(), evaluations)
    found = shown(evaluations, known)
    looks = [(m["colour"], tuple(m["dash"]), m["shape"]) for m in found["methods"]]
    assert len(set(looks)) == len(looks) == 15
    assert sum(len(r["models"]) for r in found["rows"] if not r["dense"]) + 6 == len(evaluations)
    assert not re.search(r"[<>&]", data.to_json(data.of(Content(evaluations, known, "grid"))))
