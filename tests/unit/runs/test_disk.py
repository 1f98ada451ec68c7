"""What a run holds is counted by kind, and only what nothing needs is removed."""

import os
import time

import pytest
from click.testing import CliRunner

from advprune.cli.main import main
from advprune.runs.disk import held, locked, needless
from helpers.finished_runs import make_run

MODEL = "digits/resnet18/hydra/unstructured-0.9/seed0"
LAST = "digits/resnet18/pretrained/pgd-0/seed0.last.safetensors"


@pytest.fixture
def run(tmp_path):
    root = make_run(tmp_path / "results/mine", ("hydra",))
    for name in (".checkpoint.state", ".pruned.state", ".hofmn-1.state"):
        (root / MODEL / name).mkdir()
        (root / MODEL / name / "epoch.pt").write_bytes(b"x" * 1000)
    for name, age in ((".checkpoint.a1b2c3d_.safetensors", 7200), (".last.xyz12345.json", 5)):
        (root / MODEL / name).write_bytes(b"half")
        os.utime(root / MODEL / name, (time.time() - age,) * 2)
    (root / "curves").mkdir()
    (root / "curves/.snakemake_timestamp").touch()
    return root


def names(run):
    return {path.relative_to(run).as_posix() for path in needless(run)}


def test_everything_is_counted_once(run):
    files = [path for path in run.rglob("*") if path.is_file()]
    kinds = held(run)
    assert sum(count for count, _ in kinds.values()) == len(files)
    assert sum(size for _, size in kinds.values()) == sum(p.stat().st_size for p in files)
    assert kinds["resume files and leftovers"] == (5, 3008)
    assert kinds["evaluated nets"][0] == kinds["nets before finetuning"][0] == 1
    assert kinds["verdicts per image"][0] == 2 and kinds["images of datasets"][0] == 1


def test_needless_are_finished_jobs_states_leftovers_and_intermediates(run):
    own = {".checkpoint.state", ".pruned.state", ".checkpoint.a1b2c3d_.safetensors"}
    assert names(run) == {LAST, *(f"{MODEL}/{name}" for name in (*own, "pruned.safetensors"))}


def test_the_net_before_finetuning_stays_until_the_model_is_evaluated(run):
    (run / MODEL / "evaluation.json").unlink()
    assert f"{MODEL}/pruned.safetensors" not in names(run)


def test_a_model_that_is_trained_again_keeps_its_net_before_finetuning(run):
    (run / MODEL / "checkpoint.safetensors").unlink()
    assert f"{MODEL}/pruned.safetensors" not in names(run)


def test_a_resume_folder_of_a_job_that_is_not_done_stays(run):
    (run / MODEL / "checkpoint.safetensors").unlink()
    assert f"{MODEL}/.checkpoint.state" not in names(run)


def tidy(*words):
    done = CliRunner().invoke(main, ["tidy", *map(str, words)])
    return done.exit_code, done.output


def test_the_command_removes_only_when_told_to(run):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    status, said = tidy(run)
    assert status == 0 and "can be removed (--yes)" in said
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    gone = needless(run)
    assert tidy(run, "--yes")[0] == 0
    left = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert not any(path.exists() for path in gone) and needless(run) == {}
    kept = {p: c for p, c in before.items() if not any(q in (p, *p.parents) for q in gone)}
    assert left == kept and (run / MODEL / "pruned.json") in left


def test_nothing_is_removed_while_a_run_goes_on(run, tmp_path):
    lock = tmp_path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/another/leaderboard.csv\n", encoding="utf-8")
    assert not locked(run)
    lock.write_text(f"results/mine/{MODEL}/checkpoint.safetensors\n", encoding="utf-8")
    status, said = tidy(run, "--yes")
    assert status == 2 and "a run is going on here" in said and (run / LAST).exists()
    assert tidy(run)[0] == 0


def test_a_run_that_is_not_there_is_one_line(tmp_path):
    assert tidy(tmp_path / "no") == (2, f"Error: {tmp_path}/no: no such run\n")
