"""The page in a browser: what a reader does, and what is then seen."""

import re

import pytest

from helpers.grid_samples import HOSTILE

# one browser and one page for all of them
pytestmark = pytest.mark.xdist_group("browser")


def test_rows_are_sorted_by_the_worst_case_and_can_be_sorted_otherwise(visit, picture):
    page = visit()
    assert page.names()[0] == "Dense"
    assert page.numbers() == sorted(page.numbers(), reverse=True)
    picture(page, "light")
    header = page.page.locator("th[data-key=worst] button")
    header.click()
    assert page.numbers() == sorted(page.numbers())
    assert page.page.locator("th[data-key=worst]").get_attribute("aria-sort") == "ascending"
    page.page.locator("th[data-key=name] button").click()
    names = [name.lower() for name in page.names()[1:8]]
    assert names == sorted(names)


def test_filters_leave_what_fits_and_stand_in_the_address(visit):
    page = visit()
    page.page.select_option("[data-key=dataset]", "svhn")
    page.page.select_option("[data-key=structure]", "filters")
    titles = page.page.locator("#leaderboard .group .title").all_inner_texts()
    assert len(titles) == 2 and all("svhn" in t and "filters" in t for t in titles)
    assert "dataset=svhn" in page.page.url and "structure=filters" in page.page.url
    page.page.select_option("[data-key=stage]", "before")
    assert set(page.names()) <= {"Dense"}
    page.page.get_by_role("button", name="Reset").click()
    assert "#" not in page.page.url and len(page.names()) > 60


@pytest.mark.parametrize(
    ("words", "name"), [("heracles 99", "Heracles"), ("Fioretto", "Deadwooding")]
)
def test_search_finds_methods_authors_and_targets(visit, words, name):
    page = visit()
    page.page.fill("input[type=search]", words)
    assert set(page.names()) == {name}
    assert re.match(r"\d+ of 190 models", page.page.inner_text("#filters output"))


def test_search_finds_seeds_and_doubts(visit):
    page = visit()
    page.page.keyboard.press("/")
    page.page.keyboard.type("doubt")
    assert 0 < len(page.names()) < 70
    assert page.page.locator("tr[data-row] .tag.doubt").count() >= len(page.names())


def test_a_deep_link_shows_what_it_was_made_of(visit):
    page = visit("#/dataset=svhn&sort=clean&up=1&q=snip&chosen=awt~snip")
    assert page.page.input_value("input[type=search]") == "snip"
    assert page.page.input_value("[data-key=dataset]") == "svhn"
    assert set(page.names()) == {"SNIP"}
    pressed = page.page.locator(".chip[aria-pressed=true]:not(:disabled) bdi").all_inner_texts()
    assert sorted(pressed) == ["AWT", "SNIP"]


def test_curves_are_highlighted_by_chip_by_search_and_by_click(visit):
    page = visit("#/chosen=")
    chosen = page.page.locator(".chip[aria-pressed=true]:not(:disabled) bdi")
    assert chosen.count() == 0 and page.page.locator(".chip:disabled").count() == 4
    page.page.locator(".chip[data-key=snip]").click()
    page.page.fill("#highlight", "AWT")
    page.page.keyboard.press("Enter")
    assert sorted(chosen.all_inner_texts()) == ["AWT", "SNIP"]
    assert "chosen=snip%7Eawt" in page.page.url
    before = sorted(chosen.all_inner_texts())
    # drawn with both, and the four that always are; then the pointer at the start of the best curve
    page.page.wait_for_function("charts.shown.data.legend.length === 6")
    place = page.page.evaluate(
        """() => {
          const view = charts.curves, [left, top] = view.origin();
          document.getElementById('chart').scrollIntoView();
          const box = document.querySelector('#chart svg').getBoundingClientRect();
          const point = charts.shown.data.curves.find(p => p.kind === 'grey' && p.x > 5);
          const [x, y] = [view.scale('x')(point.x), view.scale('y')(point.y)];
          return [box.left + left + x, box.top + top + y];
        }"""
    )
    page.page.mouse.move(*place)
    tip = page.page.locator("#tip")
    assert "interval" in tip.inner_text() and "worst case" in tip.inner_text()
    page.page.mouse.click(*place)
    assert sorted(chosen.all_inner_texts()) != before


def test_no_more_than_eight_are_highlighted(visit):
    page = visit("#/chosen=")
    for chip in page.page.locator(".chip:not(:disabled)").element_handles()[:8]:
        page.page.click(f".chip[data-key={chip.get_attribute('data-key')}]")
    page.page.locator(".chip[aria-pressed=false]").first.click()
    assert "At most 8" in page.page.inner_text("#curves-note")
    assert page.page.locator(".chip[aria-pressed=true]:not(:disabled)").count() == 8


def test_doubted_nets_look_different_beyond_the_radius(visit):
    page = visit()
    dashes = page.page.evaluate(
        """() => charts.shown.data.curves.filter(p => p.part === 'beyond').map(p => [
          rows.doubt[charts.shown.list.find(row => keyOf(row) === p.m)], String(p.dash)])"""
    )
    assert {dash for doubt, dash in dashes if doubt} == {"1.5,3.5"}
    assert "1.5,3.5" not in {dash for doubt, dash in dashes if not doubt}
    assert "HO-FMN" in page.page.text_content("#chart svg")


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_the_figure_can_be_saved(visit, kind, start):
    page = visit()
    with page.page.expect_download() as saved:
        page.page.click(f"#save-{kind}")
    assert saved.value.suggested_filename == f"curves-cifar10-resnet18-unstructured-0.9.{kind}"
    content = saved.value.path().read_bytes()
    assert content.startswith(start)
    assert kind == "png" or (b"Heracles" in content and b"HO-FMN" in content)


def test_a_row_unfolds_to_its_seeds(visit):
    page = visit("#/q=heracles")
    page.page.locator(".unfold").first.click()
    assert page.page.locator("tr.seeds").count() == 3
    page.page.locator(".unfold").first.click()
    assert page.page.locator("tr.seeds").count() == 0


def test_a_drawer_tells_everything_of_a_model(visit, picture):
    page = visit("#/q=heracles")
    page.page.locator("tr[data-row] button.name").first.click()
    drawer = page.page.locator("dialog[open]")
    drawer.locator("#history svg").wait_for()
    text = drawer.inner_text()
    for part in ("Accuracy", "Who broke what", "Training", "Layers", "Costs", "Method"):
        assert part in text
    for told in ("robust after both", "APGD", "layer20", "Deviations from the paper"):
        assert told in text
    picture(page, "drawer")
    drawer.get_by_role("button", name="seed 1").click()
    assert "heracles~cifar10~resnet18~unstructured~0.9~1" in page.page.url.replace("%7E", "~")
    page.page.keyboard.press("Escape")
    page.page.wait_for_function("!location.hash.includes('model=')")  # told after it has closed
    assert page.page.locator("dialog[open]").count() == 0


def test_a_link_opens_the_drawer(visit):
    page = visit("#/model=snip~cifar10~resnet18~unstructured~0.9~2")
    page.page.locator("dialog[open] h2").wait_for()
    assert "SNIP" in page.page.inner_text("dialog h2")


def test_the_table_can_be_used_by_keyboard(visit):
    page = visit()
    page.page.locator("th[data-key=clean] button").focus()
    page.page.keyboard.press("Enter")
    assert "sort=clean" in page.page.url
    page.page.locator("tr[data-row] button.name").first.focus()
    page.page.keyboard.press("Enter")
    assert page.page.locator("dialog[open]").count() == 1


def test_hostile_names_are_text(visit):
    page = visit("#/q=external")
    shown = page.page.locator("#leaderboard button.name bdi").first
    shown.click()
    page.page.locator("dialog[open]").wait_for()
    assert page.page.evaluate("window.broken") is None
    assert HOSTILE in page.page.evaluate("methods.map(method => method.name)")
    assert "<script>" in page.page.inner_text("dialog h2")


def test_failed_and_flagged_models_are_rows_with_their_reason(visit):
    page = visit("#/q=diverged")
    reason = "finetune: the training diverged (logs/grid/finetune/seed0.log)"
    assert reason in page.page.locator("tr[data-row] .tag.flag").first.get_attribute("title")
    model = page.page.evaluate("models.status.indexOf('failed')")
    page.page.evaluate(f"openModel({model})")
    assert reason in page.page.locator("dialog[open]").inner_text()


def test_a_mark_leads_to_its_explanation(visit):
    page = visit()
    page.page.locator("tr[data-row] .tag.doubt").first.click()
    assert "#mark-" in page.page.url
    assert page.page.locator("dt:target").count() == 1


def test_the_dark_page_is_dark(visit, picture):
    page = visit(color_scheme="dark")
    assert (
        page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    )
    picture(page, "dark")


def test_a_phone_shows_methods_and_worst_cases_at_once(visit, picture):
    page = visit(viewport={"width": 420, "height": 860})
    picture(page, "phone")
    row = page.page.locator("tr[data-row]").nth(1)
    for part in (row.locator("button.name"), row.locator("td.worst b")):
        box = part.bounding_box()
        assert box["x"] + box["width"] <= 420 and box["y"] + box["height"] <= 860
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 420


def test_print_has_every_row_and_column(visit, picture, tmp_path):
    page = visit()
    page.page.emulate_media(media="print")
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    picture(page, "print", full_page=True)
    assert len(page.names()) == page.page.evaluate("rows.group.length")
    wide = page.page.evaluate("document.querySelector('#leaderboard').scrollWidth")
    assert wide <= 1280
    page.page.pdf(path=tmp_path / "page.pdf", format="A4", landscape=True)
    assert (tmp_path / "page.pdf").stat().st_size > 20_000
