"""The leaderboard in the terminal, of whole runs and of runs under way."""

import json

import pytest
from click.testing import CliRunner

from advprune.cli.leaderboard import evaluations
from advprune.cli.main import main
from helpers.report_samples import SEVERAL

GATHERED = "digits/resnet18/evaluations.json"
SINGLE = "digits/resnet18/hydra/unstructured-0.9/seed{}/evaluation.json"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_run_is_shown_with_the_reasons_for_its_marks(tmp_path):
    write(tmp_path / GATHERED, SEVERAL)
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path)])
    assert done.exit_code == 0
    assert "collapsed: loss is <NaN> & gone" in done.output
    assert max(map(len, done.output.splitlines())) <= 110


def test_while_a_run_is_under_way_what_is_there_is_read(tmp_path):
    first = write(tmp_path / SINGLE.format(0), SEVERAL[4])
    second = write(tmp_path / SINGLE.format(1), SEVERAL[0])
    assert evaluations(tmp_path) == [first, second]
    gathered = write(tmp_path / GATHERED, SEVERAL)
    assert evaluations(tmp_path) == [gathered]


@pytest.mark.parametrize("name", ["results/none", "results"])
def test_a_folder_without_evaluations_is_one_line(tmp_path, name):
    (tmp_path / "results").mkdir()
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path / name)])
    assert done.exit_code == 2 and done.output == f"Error: {tmp_path / name}: no evaluations\n"
