"""The synthetic grid is one: comparable records that hold what pages and figures must stand."""

import math

from advprune.report import records, tables
from helpers import grid_samples
from helpers.grid_samples import HOSTILE, SMALL

EVALUATIONS = grid_samples.evaluations(SMALL)


def test_the_grid_is_a_run_as_the_report_reads_it():
    records.check_comparable(EVALUATIONS)
    frame = tables.leaderboard(EVALUATIONS)
    assert len(frame) == len(EVALUATIONS) and not frame[records.IDENTITY].duplicated().any()
    assert {"ok", "flagged", "failed"} == set(frame["status"])
    assert frame["reliability"].str.contains("disagreement").any()
    assert HOSTILE in records.names(records.known({}, EVALUATIONS)).values()


def test_numbers_of_a_record_are_of_the_same_distances():
    for row in (e for e in EVALUATIONS if e["curve"]):
        at = row["curve"]["eps"].index(row["threat"]["eps"])
        assert row["curve"]["accuracy"][at] == row["hofmn_accuracy"]
        assert row["curve"]["accuracy"][0] == row["clean_accuracy"] >= row["hofmn_accuracy"]
        assert row["worst_accuracy"] <= min(row["autoattack_accuracy"], row["hofmn_accuracy"])
        lost = sum(row["broken_by"].values()) / row["images"]
        assert math.isclose(lost, 1 - row["autoattack_accuracy"])


def test_equal_grids_have_equal_records():
    assert grid_samples.evaluations(SMALL) == EVALUATIONS


def test_layers_and_histories_belong_to_the_record():
    row = next(e for e in EVALUATIONS if e["model"]["structure"] == "filters" and e["curve"])
    layers = grid_samples.layers(row).values()
    assert all(0 <= layer["removed"] <= layer["units"] for layer in layers)
    removed = sum(x["removed"] for x in layers) / sum(x["units"] for x in layers)
    assert abs(removed - row["model"]["sparsity"]) < 0.1
    assert len(grid_samples.history(row)["pretrain"]) == 20
