"""The leaderboard page: self-contained, complete, accessible, and honest about flagged models."""

import re
from html.parser import HTMLParser

import pytest

from advprune.errors import UserError
from advprune.report import curves, page, tables
from report_samples import CARDS, SEVERAL, card, dense, evaluation, failed


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
    curves.save(curves.overview(SEVERAL, CARDS), path)
    return path


@pytest.fixture(scope="module")
def html(figure):
    """The page of all models with one figure."""
    return page.render(SEVERAL, CARDS, [figure], "demo")


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


def test_page_shows_what_attacks_doubt(html):
    assert "△ gradients vanish; Square <wins>" in Reader(html).text


def test_page_lists_what_was_run_and_the_cards(html):
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
    assert page.render(SEVERAL[::-1], CARDS, [figure], "demo") == html


def test_only_web_addresses_become_links():
    bad = {"hydra": card("hydra", citation={"title": "t", "url": "javascript:alert(1)"})}
    assert "javascript:" not in page.render(SEVERAL, bad, [], "demo")


def test_level_with_best_means_overlapping_intervals():
    table = tables.leaderboard(
        [
            dense(),
            evaluation("best", worst=0.4),  # 35 to 47 %
            evaluation("near", worst=0.3),  # 25 to 37 %
            evaluation("far", worst=0.27),  # 22 to 34 %
            evaluation("flagged", worst=0.9, status="bad"),
            evaluation("other", sparsity=0.99, worst=0.01),
        ]
    ).to_dict("records")
    found = {(group[-1], method) for group, method, _ in page.level_with_best(table)}
    assert found == {(0.9, "best"), (0.9, "near"), (0.99, "other")}


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
