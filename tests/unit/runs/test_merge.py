"""Runs of different models become one leaderboard; what cannot be compared is refused."""

import pandas as pd
import pytest
from click.testing import CliRunner

from advprune.base.files import write_text
from advprune.cli.main import main
from advprune.report.tables import COLUMNS
from advprune.runs.archive import pack
from helpers.finished_runs import make_run

A, B = ("dense", "hydra"), ("lwm",)


def merge(*words):
    done = CliRunner().invoke(main, ["merge", *map(str, words)])
    return done.exit_code, done.output


def runs(tmp_path, other=B, **given):
    return make_run(tmp_path / "a", A), make_run(tmp_path / "b", other, **given)


def test_a_folder_and_an_archive_become_one_leaderboard(tmp_path):
    a, b = runs(tmp_path, device="NVIDIA H100", commit="d" * 40, code={"x.py": "2"}, broken=7)
    pack(b, tmp_path / "b.zip")
    status, said = merge(a, tmp_path / "b.zip", "-o", tmp_path / "both")
    assert status == 0 and "3 models of 2 runs" in said
    board = pd.read_csv(tmp_path / "both/leaderboard.csv")
    assert list(board.columns) == COLUMNS and list(board["method"]) == ["dense", "hydra", "lwm"]
    origins = pd.read_csv(tmp_path / "both/origins.csv").set_index("method")
    assert origins["run"].to_dict() == {"dense": "a", "hydra": "a", "lwm": "b"}
    assert origins["device"]["lwm"] == "NVIDIA H100" and origins["device"]["hydra"] == "x86_64"
    assert origins["commit"]["lwm"] == "d" * 40
    assert origins["code"]["dense"] == origins["code"]["hydra"] != origins["code"]["lwm"]
    assert "<table" in (tmp_path / "both/leaderboard.html").read_text(encoding="utf-8")
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path / "both")])
    assert done.exit_code == 0 and "lwm" in done.output


def test_runs_of_one_name_are_told_apart_by_their_places(tmp_path):
    here, there = make_run(tmp_path / "x/demo", A), make_run(tmp_path / "y/demo", B)
    assert merge(here, there, "-o", tmp_path / "both")[0] == 0
    runs = pd.read_csv(tmp_path / "both/origins.csv").set_index("method")["run"]
    assert (runs["dense"], runs["lwm"]) == (str(here), str(there))


def test_rows_are_those_of_the_runs(tmp_path):
    a, b = runs(tmp_path, broken=7)
    merge(a, b, "-o", tmp_path / "both")
    own = pd.concat([pd.read_csv(run / "leaderboard.csv") for run in (a, b)])
    joined = pd.read_csv(tmp_path / "both/leaderboard.csv")
    key = ["structure", "method"]
    ours, theirs = (frame.sort_values(key).reset_index(drop=True) for frame in (joined, own))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"eps": 0.25}, "eps: 0.2 and 0.25"),
        ({"batch": 100}, "autoattack.batch: 200 and 100"),
        ({"width": 16}, "width: 8 and 16"),
        ({"epochs": 20}, "budget: 40 epochs and 20 epochs"),
        ({"official": list(range(6))}, "images: 12 and 6"),
        ({"other": ("hydra",)}, "models of another run: hydra, digits"),
        ({"other": ("hydra",), "seed": 1, "lr": 0.2}, "finetune.recipes.final.lr: 0.1 and 0.2"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_nothing_is_written(tmp_path, given, said):
    a, b = runs(tmp_path, **given)
    status, output = merge(a, b, "-o", tmp_path / "both")
    assert status == 2 and output.startswith("Error: ") and output.count("\n") == 1
    assert said in output and not (tmp_path / "both").exists()


def test_seeds_of_one_method_may_come_from_two_runs(tmp_path):
    a, b = runs(tmp_path, other=("hydra",), seed=1)
    assert merge(a, b, "-o", tmp_path / "both")[0] == 0
    board = pd.read_csv(tmp_path / "both/leaderboard.csv")
    assert sorted(board[board["method"] == "hydra"]["seed"]) == [0, 1]


def test_published_budgets_are_told_from_a_common_one_by_the_configurations(tmp_path):
    a, b = runs(tmp_path, epochs=90)
    assert "budget: 40 epochs and 90 epochs" in merge(a, b, "-o", tmp_path / "x")[1]
    for run in (a, b):
        write_text(run / "configuration.yaml", "budget: published\n")
    assert merge(a, b, "-o", tmp_path / "both")[0] == 0
    write_text(b / "configuration.yaml", "budget: {epochs: 90}\n")
    assert "not comparable (budget" in merge(a, b, "-o", tmp_path / "y")[1]


def test_a_folder_that_is_there_is_not_written_over(tmp_path):
    a, b = runs(tmp_path)
    board = (a / "leaderboard.csv").read_bytes()
    status, said = merge(a, b, "-o", a)
    assert status == 2 and "is there already" in said
    assert (a / "leaderboard.csv").read_bytes() == board


HYDRA = "digits/resnet18/hydra/unstructured-0.9/seed0"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("evaluation.json", "{", "not valid JSON"),
        ("evaluation.json", "[]", "not an evaluation"),
        ("evaluation.json", "{}", "not an evaluation (lacks 'images')"),
        (
            "evaluation.card.json",
            '{"script": "evaluate", "spec": "x"}',
            "no card of the evaluation",
        ),
        ("checkpoint.json", "{}", "width: 8 and None"),
    ],
)
def test_what_is_damaged_in_a_run_is_one_line(tmp_path, name, text, said):
    a, b = runs(tmp_path)
    write_text(a / HYDRA / name, text)
    status, output = merge(a, b, "-o", tmp_path / "both")
    assert status == 2 and said in output and output.count("\n") == 1


def test_a_configuration_that_is_none_is_refused(tmp_path):
    a, b = runs(tmp_path)
    write_text(a / "configuration.yaml", "[1]\n")
    assert "configuration.yaml: not a configuration" in merge(a, b, "-o", tmp_path / "both")[1]


def test_a_run_without_evaluations_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    status, said = merge(make_run(tmp_path / "a"), tmp_path / "empty", "-o", tmp_path / "both")
    assert (status, said) == (2, f"Error: {tmp_path}/empty: no evaluations\n")
