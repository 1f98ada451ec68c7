import re
from pathlib import Path

import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.report import catalogue
from advprune.report.records import load_methods
from helpers.checkout import tracked

ROOT = Path(__file__).resolve().parents[3]
CARDS = load_methods(tracked("config/methods"))
PUBLISHED = catalogue.load_published(ROOT / "config" / "published" / "leaderboard.csv")
SURVEY = pd.read_csv(
    ROOT / "config" / "published" / "taxonomy.csv", keep_default_na=False, index_col="key"
)


def test_the_page_is_up_to_date():
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert page == catalogue.render(CARDS, PUBLISHED), "run make docs"


def test_the_links_of_the_page_lead_somewhere():
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a id="([^"]+)">', page))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) == anchors == set(CARDS)
    for link in re.findall(r"\]\(((?!http)[^)#][^)]*)\)", page):
        assert (ROOT / "docs" / link).is_file(), link


def test_published_numbers_stand_under_their_method():
    page = catalogue.render(CARDS, PUBLISHED)
    hydra = page.split('<a id="hydra">')[1].split("###")[0]
    first = PUBLISHED[PUBLISHED["method"] == "hydra"].iloc[0]
    assert f"{first.clean_accuracy:.2f} / {first.autoattack_accuracy:.2f}" in hydra
    assert "Published for" not in page.split('<a id="lwm">')[1].split("###")[0]


@pytest.mark.parametrize("key", SURVEY.index)
def test_every_surveyed_method_has_the_surveys_row_or_says_why_not(key):
    row, card = SURVEY.loc[key], CARDS[key]
    steps = catalogue.STAGES[row["stage"]][1]
    fields = [*steps, *catalogue.TAXONOMY]
    ours = {f: card["taxonomy"].get(f, "-") for f in fields}
    theirs = {f: row[f].replace("None", "none") or "-" for f in fields}
    assert card["stage"] == row["stage"]
    differing = [f for f in fields if ours[f] != theirs[f]]
    explained = any("survey" in text.lower() for text in card.get("deviations", []))
    assert not differing or explained, f"{key} differs in {differing}"


@pytest.mark.parametrize("key", SURVEY.index)
def test_every_kind_of_structure_in_the_taxonomy_is_implemented(key):
    kinds = {"US" if s == "unstructured" else "S" for s in CARDS[key]["structures"]}
    # PwoA's leaderboard rows have filters, its taxonomy row has not
    assert kinds >= set(SURVEY.loc[key, "structure"].split(", "))


def test_a_table_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "leaderboard.csv"
    path.write_text("method,clean\nhydra,80\n")
    with pytest.raises(UserError, match="lacks dataset"):
        catalogue.load_published(path)
