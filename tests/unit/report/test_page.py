"""The leaderboard page: self-contained, complete, accessible, and honest about flagged models."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from advprune.attacks.verdicts import pack
from advprune.base.errors import UserError
from advprune.evaluation.reliability import SHARES
from advprune.report import page, records
from advprune.report.figures import canvas, curves
from advprune.report.marks import MARKS
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


class Reader(HTMLParser):
    """Collects tags and visible text, and checks that tags are balanced."""

    VOID = ("meta", "img", "input", "link", "br")

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += f" {data}"


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    """A PNG of the curves."""
    path = tmp_path_factory.mktemp("page") / "curves.png"
    canvas.save(curves.overview(records.records(SEVERAL), METHODS), path)
    return path


@pytest.fixture(scope="module")
def html(figure):
    """The page of all models with one figure."""
    return page.render(SEVERAL, METHODS, [figure], "demo")


def test_page_loads_nothing_from_elsewhere(html):
    tags = Reader(html).tags
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "object", "base")]
    for tag, attributes in tags:
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        if "://" in str(attributes):
            assert tag == "a" and list(attributes) == ["href"]
    code = "".join(re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", html, re.DOTALL))
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(", code)


def test_page_shows_percentages_with_wilson_bounds(html):
    text = " ".join(Reader(html).text.split())
    assert "unstructured 90 % found 90.00 % 0 90.0 85.0–97.0 33.0 28.0–40.0" in text
    assert "31.0 26.0–38.0" in text
    assert "176 k" in text and "1.23 M" in text and "eff. 123 k" in text


def test_page_shows_flags_as_text(html):
    text = " ".join(Reader(html).text.split())
    assert "⚑ collapsed : loss is <NaN> & gone" in text
    assert "<NaN>" not in html  # escaped
    assert "1 of 6 models" in text


def test_page_shows_what_attacks_warn_of(html):
    assert "△ gradients vanish; Square <wins>" in Reader(html).text


def test_page_lists_what_was_run_and_the_methods(html):
    text = " ".join(Reader(html).text.split())
    assert "Preset demo" in text
    assert "resnet18 · 6 models · Linf, eps = 1/5 · 200 test images · seeds 0, 1" in text
    assert "Fewer images & epochs." in text
    assert ("a", {"href": "https://arxiv.org/hydra"}) in Reader(html).tags


def test_page_is_accessible(html):
    tags = Reader(html).tags
    headers = [attributes for tag, attributes in tags if tag == "th"]
    assert {h["scope"] for h in headers} == {"col", "row"}
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert ("html", {"lang": "en"}) in tags
    identities = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identities) == len(set(identities))


def test_filters_only_where_rows_differ(html):
    keys = [a["data-key"] for tag, a in Reader(html).tags if tag == "select"]
    assert keys == ["structure", "removed", "stage"]


def test_page_has_the_same_text(figure, html):
    assert page.render(SEVERAL[::-1], METHODS, [figure], "demo") == html


def test_only_web_addresses_become_links():
    bad = {"hydra": method_entry("hydra", citation={"title": "t", "url": "javascript:alert(1)"})}
    assert "javascript:" not in page.render(SEVERAL, bad, [], "demo")


def test_the_level_mark_belongs_to_methods_that_the_paired_test_cannot_tell_apart():
    """The intervals of all three overlap; on the same images one is below."""
    robust = {"top": range(100), "near": range(2, 100), "below": range(12, 100)}
    rows = [
        evaluation(m, worst=len(kept) / 200, robust_images=pack(np.isin(np.arange(200), kept)))
        for m, kept in robust.items()
    ]
    text = " ".join(Reader(page.render([dense(), *rows], {}, [], "")).text.split())
    models = text[text.index("Click a heading") : text.index("Security evaluation curves")]
    for method, marked in (("top", True), ("near", True), ("below", False), ("dense", False)):
        row = re.search(
            rf" {method} .*?{'unstructured' if method != 'dense' else 'none'}.*?MACs",
            f"{models} MACs",
        )
        assert ("≈ best on these nets" in re.split("eff.|theoretical", row[0])[0]) is marked, row[0]


def test_page_marks_methods_whose_seeds_differ_by_more_than_ten_points():
    rows = [
        evaluation(m, seed=s, worst=w) for m in ("wide", "tight") for s, w in ((0, 0.3), (1, 0.4))
    ]
    rows.append(evaluation("wide", seed=2, worst=0.44))
    text = " ".join(Reader(page.render(rows, {}, [], "")).text.split())
    assert text.count("↕ spread 14.0") == 3 and text.count("↕ spread") == 3


def test_page_marks_unreliable_models_and_links_each_mark_to_its_explanation():
    signs = dict.fromkeys(SHARES, 0.0) | {"disagreement": 0.18, "hofmn_missed": 0.175}
    signs |= {"hofmn_recovered": 3, "distance_before": None, "distance_after": 0.1875}
    row = evaluation(reliability=signs | {"marks": ["disagreement"]})
    reader = Reader(page.render([row, evaluation(seed=1)], {}, [], ""))
    text = " ".join(reader.text.split())
    assert text.count("△ attacks disagree 18.0 %") == 1
    assert "18.0 HO-FMN missed 17.5" in text and "– HO-FMN missed –" in text
    assert "hydra, digits, resnet18, unstructured 90 %, seed 0 3 none found 0.1875" in text
    targets = {a["href"][1:] for tag, a in reader.tags if tag == "a" and a["href"][0] == "#"}
    places = {a["id"] for _, a in reader.tags if "id" in a}
    assert targets <= places and "mark-disagreement" in targets
    assert {f"mark-{key}" for key in MARKS} <= places


def test_page_shows_both_epochs_and_the_marks_of_the_training():
    mark = "single-step training collapsed in epoch 12"
    rows = [evaluation(seed=0, training=trained(marks=[mark])), evaluation(seed=1)]
    rows.append(evaluation(seed=2, training=trained(best_epoch=None, final_epochs=None)))
    reader = Reader(page.render(rows, {}, [], ""))
    text = " ".join(reader.text.split())
    assert text.count(f"△ {mark}") == 1
    assert "50.0 / 40.0 epoch 12 of 20, 60 in all" in text and "50.0 / 40.0 60 in all" in text
    assert "– / – – HO-FMN" in text  # of one trained elsewhere nothing is known
    assert "#mark-training" in {a["href"] for tag, a in reader.tags if tag == "a"}
    assert "mark-training" in {a["id"] for _, a in reader.tags if "id" in a}


def test_page_shows_costs_where_there_are_any(html):
    key = ("hydra", "digits", "resnet18", "unstructured", 0.9, 1)
    known = cost(1, compact_macs=2345, one_compact_ms=0.18968, batch_compact_ms=None)
    shown = page.render(SEVERAL, METHODS, [], "demo", costs={key: known})
    text = " ".join(Reader(shown).text.split())
    assert "of 176 k compact 1.00 k 1.23 M theoretical 123 k compact 2.35 k" in text
    assert "0.190 ms saved 12.5 ms batch –" in text
    assert text.count("– saved – batch –") == len(SEVERAL) - 1
    assert "(x86_64, 1 thread)" in text and "for 100 images" in text
    assert "<dt>compact</dt>" in shown and "<dt>compact</dt>" not in html


def test_page_shows_thin_ice_where_there_is_any(figure, html):
    assert "thin-ice" not in html
    shown = page.render(SEVERAL, METHODS, [], "demo", [figure, figure])
    assert shown.count('alt="Distances before and after pruning, curves"') == 2
    assert 'href="#thin-ice"' in shown and 'id="thin-ice"' in shown
    Reader(shown)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (18233, "18.2 k"),
        (176258, "176 k"),
        (1234567, "1.23 M"),
        (2.5e9, "2.50 G"),
        (None, "–"),
    ],
)
def test_quantity(count, text):
    assert page.quantity(count) == text


def test_missing_figure_is_a_user_error():
    with pytest.raises(UserError, match=r"gone\.png"):
        page.render(SEVERAL, {}, ["gone.png"], "demo")


@pytest.mark.parametrize("only", [evaluation, dense, failed])
def test_one_model_is_enough(only):
    assert page.render([only()], {}, [], "demo").count('<th scope="row"') == 1
