"""Released checkpoints from a server to the page: what cannot be had is a row with its reason.

Ten keys of the index, or with ADVPRUNE_ALL_RELEASED=1 all 83, as synthetic files of an eighth
of their width. The server is on this machine.
"""

import json
import os
import re

import pandas as pd
import pytest

from advprune.report.answers.section import read_sections
from helpers import failing_server, released_run

pytestmark = pytest.mark.slow
GOOD = [
    "HYDRA_Sehwag2020Hydra_R18_CIFAR10_US_90",
    "RADMM_Ye2019Adversarial_V16_CIFAR10_US_90",
    "PwoA_Jian2022Pruning_R18_CIFAR10_S_50",
]
LATE = "HARP_Zhao2023Holistic_R18_CIFAR10_US_99"
BAD = {  # key: (what happens to its file, what its row says)
    LATE: ("missing", "the server answers 404"),
    "HARP_Zhao2023Holistic_V16_CIFAR10_US_90": ("missing", "the server answers 404"),
    "RobustBird_Chen2021Sparsity_R18_CIFAR10_US_90": ("cut off", "damaged"),
    "MAD_Lee2022Masking_R18_CIFAR10_US_90": ("page", "its quota of downloads is used up"),
    "RST_Fu2021Drawing_R18_CIFAR10_US_90": ("other method", "is not of layout rst but of mad"),
    "TwinRep_Li2023Learning_R18_CIFAR10_US_90": ("other net", "another net than announced"),
    "PwoA_Jian2022Pruning_V16_CIFAR10_S_75": ("code", "would run code"),
}
ALL = os.environ.get("ADVPRUNE_ALL_RELEASED")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The checkout after a run, the server's files, and the files by key."""
    base = tmp_path_factory.mktemp("released")
    asked = "all" if ALL else [*GOOD, *BAD]
    with failing_server.running() as server:
        content = released_run.config(asked)
        content["released"]["url"] = f"http://127.0.0.1:{server.port}/uc?id={{id}}"
        found = released_run.files(base / "files", content)
        released_run.spoil(base / "files", found, {key: way for key, (way, _) in BAD.items()})
        for item in found.values():
            if (path := base / "files" / item.file_name).exists():
                server.offer(item.file_id, path.read_bytes())
        made = released_run.checkout(base / "repo", content)
        made.snakemake("--cores", "2")
        yield made, server, found


def table(made, name="leaderboard"):
    return pd.read_csv(made.folder / f"results/tiny/{name}.csv")


def test_every_key_is_a_row_and_the_run_ends_well(run):
    made, _, found = run
    rows = table(made)
    assert len(rows) == len(found) == (83 if ALL else len(GOOD) + len(BAD))
    assert (rows["status"] == "not available").sum() == len(BAD)
    measured = rows[rows["status"] != "not available"]
    assert measured["worst_accuracy"].notna().all() and (measured["images"] == 6).all()


def test_each_reason_is_said_where_the_row_is(run):
    made, _, found = run
    shown = table(made, "released").set_index(["released_of", "arch", "structure", "sparsity"])
    page = (made.folder / "results/tiny/leaderboard.html").read_text(encoding="utf-8")
    assert "HYDRA (released)" in page
    logs = "".join(p.read_text(encoding="utf-8") for p in (made.folder / "logs").rglob("*.log"))
    assert "this must never be printed" not in logs  # by the code in a file
    for key, (_, words) in BAD.items():
        item = found[key]
        row = shown.loc[(item.method, item.net, item.structure, float(item.sparsity))]
        assert row["status"] == "not available" and words in row["reason"], row["reason"]
        assert words.split("'")[0] in page
        assert row["clean_published"] == item.published.clean
        assert pd.isna(row["clean_accuracy"]) and pd.isna(row["sparsity_claimed"])


def test_sparsity_is_recounted_by_both_rules(run):
    made, _, found = run
    rows = table(made, "released")
    rows = rows[rows["status"] != "not available"].set_index("released_of")
    for key in GOOD:
        row = rows.loc[[found[key].method]].iloc[0]
        assert row["sparsity_claimed"] == pytest.approx(row["sparsity"], abs=0.003)
        assert "sparsity is" not in str(row["reason"])
    filters = rows.loc[["pwoa"]].query("structure == 'filters'").iloc[0]
    assert filters["sparsity_achieved"] == 0 and filters["constant_filters"] > 0
    marks = table(made).query("method == 'released-pwoa' and structure == 'filters'")["marks"]
    assert marks.dropna().str.contains("emit a constant").all() and marks.notna().any()


def test_what_differs_from_the_published_figure_is_told_and_flagged(run):
    made, _, found = run
    rows = table(made, "released").set_index("released_of")
    row = rows.loc[["hydra"]].iloc[0]
    assert row["clean_published"] == 0.7674 and row["published_eps"] == 0.031
    difference = row["clean_accuracy"] - row["clean_expected"]
    assert row["clean_difference"] == pytest.approx(difference)
    flagged = abs(difference) > row["clean_margin"]
    assert ("as published" in str(row["reason"])) >= flagged
    (section,) = read_sections([made.folder / "results/tiny/sections/released.json"])
    assert len(section.grids[0].rows) == len(found)


def test_hashes_are_in_cards_and_in_a_lock_file(run):
    made, _, found = run
    locked = table(made, "released.lock").set_index("key")["sha256"]
    assert len(locked) == len(found) - len(BAD)
    key = GOOD[0]
    item = found[key]
    folder = made.folder / f"results/tiny/cifar10/{item.net}/released-hydra/unstructured-0.9/seed0"
    card = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    assert card["parents"]["source"] == locked[key]


def test_a_file_that_is_there_later_costs_no_other_row_anything(run):
    made, server, found = run
    files = made.folder / "results/tiny/cifar10"
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*-0.csv")}
    item = found[LATE]
    path = made.folder.parent / "files" / item.file_name
    released_run.write(path, item)
    server.offer(item.file_id, path.read_bytes())
    made.snakemake("--cores", "2", "results/tiny/leaderboard.csv")
    assert (table(made)["status"] == "not available").sum() == len(BAD) - 1
    late = table(made, "released").query(
        "released_of == 'harp' and sparsity == 0.99 and arch == @item.net"
    )
    (reason,) = late["reason"][late["status"] == "flagged"]  # its layers have lost equal shares
    assert "HARP's faulty export" in reason
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before
    assert len(list(files.rglob("*-0.csv"))) > len(before)


def test_a_file_that_is_gone_is_asked_for_again(run):
    made, _, found = run
    (made.folder / "results/downloads/released" / found[GOOD[0]].file_name).unlink()
    done = made.snakemake("-n")
    (asked,) = re.findall(r"^ *fetch +(\d+)", done.stdout + done.stderr, re.MULTILINE)
    assert int(asked) == len(BAD)  # those of before, without the one that is there, and this


def test_a_run_of_which_no_file_can_be_had_ends_well(tmp_path):
    (tmp_path / "copies").mkdir()
    content = released_run.config([LATE], released_root=str(tmp_path / "copies"))
    made = released_run.checkout(tmp_path / "repo", content)
    made.snakemake("--cores", "2")
    (row,) = table(made).to_dict("records")
    assert row["status"] == "not available" and "released_root has no HARP_Zhao" in row["reason"]
    assert "released_root has no HARP_Zhao" in (
        made.folder / "results/tiny/leaderboard.html"
    ).read_text(encoding="utf-8")
