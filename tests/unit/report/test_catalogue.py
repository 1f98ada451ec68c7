"""The pages of the methods: what is written by hand stays, the rest follows from the YAMLs."""

from pathlib import Path

import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.report import catalogue
from advprune.report.records import load_methods
from helpers.checkout import tracked

ROOT = Path(__file__).resolve().parents[3]
METHODS = load_methods(tracked("config/methods"))
PUBLISHED = catalogue.load_published(ROOT / "config" / "published" / "leaderboard.csv")
SURVEY = pd.read_csv(
    ROOT / "config" / "published" / "taxonomy.csv", keep_default_na=False, index_col="key"
)


def lower(key):
    """The part of a method's page that is made."""
    page = catalogue.page(METHODS[key], PUBLISHED, "# A title\n")
    assert page.startswith("# A title\n\n<!-- Below: made by")
    return page.split("-->\n")[1]


def test_the_overview_links_every_method_once():
    text = catalogue.overview(METHODS)
    assert all(text.count(f"({key}.md)") == 1 for key in METHODS)


def test_published_numbers_stand_on_their_methods_page():
    first = PUBLISHED[PUBLISHED["method"] == "hydra"].iloc[0]
    assert f"{first.clean_accuracy:.2f} / {first.autoattack_accuracy:.2f}" in lower("hydra")
    assert "Published numbers" not in lower("lwm")


def test_published_numbers_stand_with_their_conditions():
    text = " ".join(lower("hydra").split())
    assert "a radius of 0.031 and not 8/255, on the first 10,000 test images" in text
    assert "(../../config/published/README.md#their-conditions)" in text
    changed = PUBLISHED.assign(eps=8 / 255, test_images=26032)
    page = " ".join(catalogue.page(METHODS["hydra"], changed, "# A title\n").split())
    assert f"a radius of {8 / 255} and" in page and "26,032 test images" in page


def test_a_page_has_the_settings_with_their_sources_and_the_deviations():
    text, method = lower("radmm"), METHODS["radmm"]
    assert "| `params.rho` | `0.001` |" in text
    assert "| `objectives.prune` | `name: pgd` |" in text
    assert f"- `params`: {method['sources']['params']}" in text
    assert all(f"- {deviation}" in text for deviation in method["deviations"])


def test_a_page_has_the_settings_of_single_nets_and_datasets():
    text = lower("li20")
    assert "| `recipes.prune` | `epochs: 100, batch: 128, lr: 0.05," in text
    assert "| `vgg16: recipes.prune` | `batch: 64, lr: 0.01` |" in text


def test_making_a_page_again_keeps_what_is_written_by_hand():
    above = "# HYDRA\n\nBy hand, $w \\odot m$.\n"
    page = catalogue.page(METHODS["hydra"], PUBLISHED, above)
    again = catalogue.page(METHODS["hydra"], PUBLISHED, catalogue.written(page, "hydra"))
    assert again == page and page.startswith(above)


def test_a_new_page_is_begun_from_the_modules_docstring():
    box = "prune   remove the smallest\nfinetune"
    begun = catalogue.begun({"name": "New"}, f'"""What it does.\n\n{box}\n"""\n')
    start = "# New\n\nWhat it does.\n\n"
    assert begun.startswith(f"{start}## Algorithm\n\n```text\n{box}\n```\n\n## What must hold\n")
    begun = catalogue.begun({"name": "New"}, '"""What it does."""\n')
    assert begun.startswith(f"{start}## What must hold\n")


@pytest.mark.parametrize("key", SURVEY.index)
def test_every_surveyed_method_has_the_surveys_row_or_says_why_not(key):
    row, method = SURVEY.loc[key], METHODS[key]
    steps = catalogue.STAGES[row["stage"]][2]
    fields = [*steps, *catalogue.TAXONOMY]
    ours = {f: method["taxonomy"].get(f, "-") for f in fields}
    theirs = {f: row[f].replace("None", "none") or "-" for f in fields}
    assert method["stage"] == row["stage"]
    differing = [f for f in fields if ours[f] != theirs[f]]
    explained = any("survey" in text.lower() for text in method.get("deviations", []))
    assert not differing or explained, f"{key} differs in {differing}"


@pytest.mark.parametrize("key", SURVEY.index)
def test_every_kind_of_structure_in_the_taxonomy_is_implemented(key):
    kinds = {"US" if s == "unstructured" else "S" for s in METHODS[key]["structures"]}
    # PwoA's leaderboard rows have filters, its taxonomy row has not
    assert kinds >= set(SURVEY.loc[key, "structure"].split(", "))


def test_a_table_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "leaderboard.csv"
    path.write_text("method,clean\nhydra,80\n", encoding="utf-8")
    with pytest.raises(UserError, match="lacks dataset"):
        catalogue.load_published(path)
