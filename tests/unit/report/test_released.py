"""Released nets in the reports: rows without numbers; published, measured and ours together."""

import pandas as pd
import pytest

from advprune.base.files import write_json
from advprune.evaluation.evaluate import without_numbers
from advprune.plan.specs import Published, Row, UnavailableSpec
from advprune.report import paired, records, tables
from advprune.report.figures import canvas, curves
from advprune.report.page import document
from advprune.report.page.content import Content
from advprune.report.released import beside
from helpers.report_samples import evaluation

TOLD = {"clean": 0.8, "autoattack": 0.4, "eps": 0.031, "images": 10_000}
HYDRA = {"key": "hydra", "name": "HYDRA", "taxonomy": {"structure": "US"}, "fidelity": "code"}


def released(worst=0.3, **extra):
    found = evaluation("released-hydra", worst=worst, **extra)
    found["model"] |= {"released_of": "hydra", "published": TOLD, "stage": "external"}
    found["model"] |= {"name": "HYDRA (released)"}
    found["published"] = {f"autoattack_{k}": v for k, v in (("expected", 0.39), ("margin", 0.005))}
    found["published"] |= {"autoattack_difference": worst + 0.02 - 0.39}
    found["audit"] |= {"counted": "weights", "sparsity_claimed": 0.9}
    return found


def absent(reason="its quota of downloads is used up", sparsity=0.95):
    place = ("released-hydra", "digits", "resnet18", "unstructured", sparsity, 0)
    told = {"stage": "external", "released_of": "hydra", "published": Published(**TOLD)}
    row = Row(*place, name="HYDRA (released)", **told)
    return without_numbers(UnavailableSpec(row, 0.2, "1/5", 200), "not available", reason)


def test_comparisons_and_curves_are_of_what_was_measured(tmp_path):
    write_json(tmp_path / "evaluations.json", [released(), absent()])
    measured = records.load([tmp_path / "evaluations.json"])
    assert [e["status"] for e in measured] == ["ok"]
    assert len(records.load([tmp_path / "evaluations.json"], absent=True)) == 2


def test_a_run_of_nothing_that_can_be_had_still_has_its_tables_and_figures(tmp_path):
    write_json(tmp_path / "evaluations.json", [absent()])
    nothing = records.load([tmp_path / "evaluations.json"])
    assert paired.compare(nothing).empty
    paired.markdown(paired.compare(nothing), {})
    canvas.save(curves.overview(nothing, {}), tmp_path / "curves.png")
    curves.write_groups(nothing, {}, tmp_path / "groups")


def test_the_row_and_the_page_say_why_there_are_no_numbers():
    rows = [released(), absent("<b>no</b> file")]
    frame = tables.leaderboard(rows)
    assert frame["status"].tolist() == ["ok", "not available"]
    html = document.render(Content(rows, records.known({"hydra": HYDRA}, rows), "tiny"))
    assert "<dt>Flagged</dt><dd>0 of 2 models, 1 not available</dd>" in html
    assert '"not available"' in html and "<b>no" not in html and "no\\u003c/b\\u003e file" in html
    assert "HYDRA (released)" in html and '"taxonomy":{"structure":"US"}' in html
    tables.console(frame)


def test_a_released_net_has_its_method_s_taxonomy_and_not_our_fidelity():
    known = records.known({"hydra": HYDRA}, [released()])["released-hydra"]
    assert known["taxonomy"] == HYDRA["taxonomy"] and known["stage"] == "external"
    assert "fidelity" not in known and known["name"] == "HYDRA (released)"


def test_ours_of_the_same_method_net_and_sparsity_stand_beside_it():
    ours = [evaluation("hydra", seed=s, worst=w) for s, w in ((0, 0.30), (1, 0.34))]
    flagged = evaluation("hydra", seed=2, worst=0.0, status="flagged", reason="collapsed")
    others = [evaluation("hydra", sparsity=0.95), evaluation("harp")]
    (row,) = beside.table([released(), *ours, flagged, *others]).to_dict("records")
    assert row["ours_seeds"] == 2 and row["ours_autoattack"] == pytest.approx(0.34)
    assert row["autoattack_published"] == 0.4 and row["autoattack_expected"] == 0.39
    assert row["autoattack_difference"] == pytest.approx(-0.07)


def test_the_section_shows_every_row_with_what_it_holds():
    frame = beside.table([released(), absent()])
    section = beside.section(frame, {"hydra": HYDRA})
    first, second = section.grids[0].rows
    assert first[0] == second[0] == "HYDRA"
    assert "published 40.00; here 32.00 (-7.00)" in first[6]
    assert first[4] == "claimed 90.0; 90.00 of all weights; here 90.00"
    assert second[7] == "not available: its quota of downloads is used up"
    assert second[4] == "claimed 95.0" and "here" not in second[6]
    assert all(len(row) == len(section.grids[0].header) for row in section.grids[0].rows)
    assert pd.isna(frame["clean_accuracy"].iloc[1])
