"""Jobs and Snakemake itself are killed at random moments; what is run again ends the same."""

import pytest

from advprune.base.files import write_text
from helpers.checkout import Checkout, tiny_config
from helpers.killing import broken, disturb

pytestmark = pytest.mark.slow
ATTACKS = ("autoattack", "hofmn")
KILLS = 6  # fifty of them on the demo: tests/helpers/killing.py by hand


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(finished, tmp_path):
    config = tiny_config()
    config["grid"][0]["methods"] = [{"lwm": ["filters"]}]
    repo = Checkout(tmp_path / "repo", config).folder
    hit = disturb(repo, "tiny.yaml", kills=KILLS, seed=20240901, longest=15)
    assert {"snakemake"} < set(hit), hit
    model = "digits/resnet18/lwm/filters-0.5/seed0"
    for name in ("checkpoint.safetensors", "hofmn.json", "evaluation.json"):
        ours, theirs = (f / "results/tiny" / model / name for f in (repo, finished.folder))
        assert ours.read_bytes() == theirs.read_bytes(), name
    ours, theirs = (
        (f / "results/tiny/leaderboard.csv").read_text(encoding="utf-8").splitlines()
        for f in (repo, finished.folder)
    )
    assert ours == [theirs[0], *(line for line in theirs if line.startswith("lwm,"))]
    assert not broken(repo / "results")


def test_an_evaluation_that_is_killed_gives_the_same_tables(finished, tmp_path):
    repo = finished.copy(tmp_path / "repo").folder
    model = repo / "results/tiny/digits/resnet18/lwm/filters-0.5/seed0"
    lost = [model / f"{attack}-{shard}.csv" for attack in ATTACKS for shard in (0, 1)]
    lost += [model / name for name in ("hofmn.json", "reliability.json", "evaluation.json")]
    before = {path: path.read_bytes() for path in lost}
    for path in lost:
        path.unlink()
    target = str((model / "evaluation.json").relative_to(repo))
    hit = disturb(repo, "tiny.yaml", kills=KILLS, seed=20240902, longest=5, target=target)
    attacking = {f"scripts/{name}.py" for name in ("autoattack", "hofmn_tune", "hofmn")}
    assert attacking & set(hit), hit
    assert {path: path.read_bytes() for path in lost} == before
    assert not broken(repo / "results")


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", '{"half": '), ("b.csv", "index,la"), ("c.safetensors", "half")]
)
def test_half_a_file_would_be_noticed(name, text, tmp_path):
    write_text(tmp_path / "whole.json", "{}\n")
    assert not broken(tmp_path)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert broken(tmp_path) == [str(tmp_path / name)]
