"""Where models come from stands in a table of its own and in one line."""

import pandas as pd
import pytest

from advprune.base.files import write_json
from advprune.report import origins, tables
from advprune.report.page import document
from advprune.report.page.content import Content
from helpers.report_samples import METHODS, evaluation

PLACE = "results/run/digits/resnet18"


def card(**fields):
    known = {"commit": "aaa", "dirty": False, "device": "CPU (avx2)", "threads": 1}
    return known | {"time": "2026-05-02T10:00:00+00:00", "sha256": "0"} | fields


@pytest.fixture
def place(tmp_path):
    """A model, pretrained on a GPU by changed code, attacked later by another commit."""
    folder = tmp_path / PLACE
    seed = folder / "hydra/unstructured-0.90/seed0"
    start = card(commit="bbb", dirty=True, device="GPU", sha256="start", time="2026-05-01T01:00")
    write_json(folder / "pretrained/pgd-1/seed0.json", start)
    write_json(folder / "pretrained/pgd-2/seed0.json", card(commit="ddd", sha256="not its start"))
    write_json(seed / "pruned.json", card(parents={"pretrained": "start"}))
    write_json(seed / "checkpoint.json", card(net={"width": 8}))
    write_json(seed / "autoattack-0.card.json", card(commit="ccc", time="2026-06-03T00:00"))
    write_json(seed / "evaluation.card.json", {k: card()[k] for k in ("commit", "dirty", "time")})
    write_json(seed / "audit.json", {"reasons": []})
    other = folder / "hydra/unstructured-0.95/seed0"
    write_json(other / "checkpoint.json", card(commit="eee", net={"width": 16}))
    return folder


def table(place, *evaluations):
    write_json(place / "evaluations.json", evaluations)
    return origins.table([place / "evaluations.json"])


def test_a_row_has_every_job_behind_its_model_and_no_other(place):
    (row,) = table(place, evaluation()).to_dict("records")
    assert row["commit"] == "aaa; bbb; ccc" and row["dirty"] == "bbb"
    assert row["device"] == "CPU (avx2); GPU" and row["threads"] == "1"
    assert row["width"] == 8
    assert (row["first_date"], row["last_date"]) == ("2026-05-01", "2026-06-03")


def test_a_line_counts_over_all_rows_also_when_read_back(place, tmp_path):
    frame = table(place, evaluation(), evaluation(sparsity=0.95))
    tables.write_csv(frame, tmp_path / "provenance.csv")
    said = "made by 4 commits, 1 dirty; 2 devices"
    assert origins.summary(frame) == said
    assert origins.summary(pd.read_csv(tmp_path / "provenance.csv")) == said


def test_code_outside_a_repository_is_said_to_be_unknown(place):
    unknown = card(commit=None, dirty=None)
    write_json(place / "hydra/unstructured-0.95/seed0/checkpoint.json", unknown)
    frame = table(place, evaluation(sparsity=0.95))
    assert list(frame["commit"]) == ["unknown"]
    assert origins.summary(frame) == "made by unknown code; 1 device"
    both = table(place, evaluation(), evaluation(sparsity=0.95))
    assert origins.summary(both) == "made by 3 commits and unknown code, 1 dirty; 2 devices"


def test_a_model_without_cards_has_a_row_all_the_same(place):
    (row,) = table(place, evaluation("lwm")).to_dict("records")
    assert row["method"] == "lwm" and row["commit"] == "" and pd.isna(row["width"])


def test_the_page_says_it(place):
    made = origins.summary(table(place, evaluation()))
    shown = document.render(Content([evaluation()], METHODS, "run", made=made))
    assert f"<dd>{made}, see provenance.csv</dd>" in shown
    assert "provenance.csv" not in document.render(Content([evaluation()], METHODS, "run"))
