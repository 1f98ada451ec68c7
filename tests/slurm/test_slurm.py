"""The workflow on a real SLURM: submitted, failing, interrupted, out of time, preempted."""

import os
import signal

import pandas as pd
import pytest

from helpers import rows
from helpers.checkout import Checkout, tiny_config

EPOCHS = 100


def long_training(folder, pause=1):
    """Copy whose pretraining outlasts a minute, SLURM's shortest limit, but mostly sleeps."""
    config = tiny_config() | {"device": "auto"}
    config["grid"][0]["methods"] = ["hydra"]
    config["budget"] |= {"epochs": 2 * EPOCHS, "shares": {"pretrain": 0.5, "prune": 0.01}}
    checkout = Checkout(folder, config)
    end = "                self._save(loop, hooks, phase, history, choice)\n"
    wait = f"                __import__('time').sleep({pause})\n"
    checkout.edit("scripts/advprune/training/loop.py", end, end + wait)
    return checkout


def weights(checkout):
    (file,) = checkout.folder.glob("results/tiny/digits/resnet18/pretrained/*/seed0.safetensors")
    return file.read_bytes()


def test_an_interrupted_run_cancels_its_jobs(tmp_path, submit, cluster):
    run = submit(long_training(tmp_path / "repo"), "--until", "pretrain")
    run.wait_for(lambda: "epoch 2/" in run.log())
    assert cluster.jobs() == run.ids
    run.process.send_signal(signal.SIGINT)
    assert run.finish(60) != 0
    assert run.job(run.ids[0])["JobState"] == "CANCELLED"


def test_a_failing_job_is_tried_again_with_more_and_then_reported_with_its_log(checkout, submit):
    failure = '    raise ValueError("no luck")\n    net_spec ='
    checkout.edit("scripts/pretrain.py", "    net_spec =", failure)
    run = submit(checkout, "--until", "pretrain", "--retries", "1", runtime="7*attempt")
    assert run.finish() != 0
    first, second = (run.job(number) for number in run.ids)
    assert (first["TimeLimit"], second["TimeLimit"]) == ("00:07:00", "00:14:00")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("400M", "800M")
    for number in run.ids:
        assert f"SLURM-job '{number}' failed, SLURM status is: 'FAILED'" in run.text
    assert "ValueError: no luck" in run.text


def test_a_small_grid_runs_from_data_to_leaderboard(checkout, submit):
    """Training and attacks get a GPU each; what is small travels together."""
    checkout.edit(
        "scripts/pretrain.py",
        "    args, spec",
        '    jobs.log.info("GPU %s", __import__("os").environ.get("CUDA_VISIBLE_DEVICES"))\n'
        "    args, spec",
    )
    run = submit(checkout)
    assert run.finish() == 0, run.text
    assert "tiny: 1 models on the cluster" in run.text
    assert "GPU 0\n" in run.log()
    jobs = [run.job(number) for number in run.ids]
    asked = {job["Comment"].removeprefix("rule_").split("_")[0]: job for job in jobs}
    assert set(asked) == {"pretrain", "prune", "finetune", "autoattack", "evaluation", "report"}
    assert len(jobs) == 7  # AutoAttack has two shards
    for name, job in asked.items():
        assert job.get("TresPerJob") == (None if name == "report" else "gres:gpu:1"), name
        assert int(job["NumCPUs"]) <= 2, name
    table = pd.read_csv(checkout.folder / "results/tiny/leaderboard.csv")
    assert list(table["method"]) == ["hydra"]
    assert not run.checkout.planned()


@pytest.fixture
def uninterrupted(tmp_path):
    """The weights that the long training ends with here, without SLURM."""
    local = long_training(tmp_path / "local", pause=0)
    local.snakemake("--cores", "1", "--until", "pretrain")
    return weights(local)


def test_out_of_time_and_preempted_a_training_ends_with_the_same_bytes(
    tmp_path, submit, cluster, uninterrupted
):
    again = ("--retries", "8")  # a busy machine may need many minutes
    repo = long_training(tmp_path / "repo")
    run = submit(repo, "--until", "pretrain", *again, runtime="attempt")
    run.wait_for(lambda: "SLURM status is: 'TIMEOUT'" in run.text)
    run.wait_for(lambda: "resumed after epoch" in run.log())
    running = run.ids[-1]  # the second, or a later one if the machine was busy
    cluster.ask("scontrol", "requeue", running)  # what preemption does to a job
    run.wait_for(lambda: run.job(running)["JobState"] == "PENDING")
    cluster.ask("scontrol", "update", f"JobId={running}", "StartTime=now")
    assert run.finish() == 0, run.text
    assert weights(run.checkout) == uninterrupted
    assert not list(run.checkout.folder.glob("results/**/.*"))


@pytest.mark.skipif(
    os.environ.get("ADVPRUNE_SLURM") != "long",
    reason="twelve models take many minutes on one machine: make test-slurm SLURM=long",
)
def test_one_bad_row_never_costs_the_table(tmp_path, submit, monkeypatch):
    """Twelve models of which three fail in three steps, one of them in a group; then the rest."""
    made = rows.checkout(tmp_path / "repo")
    for name, value in rows.killing(made).items():
        monkeypatch.setenv(name, value)
    run = submit(made, "--retries", "1")
    assert run.finish() != 0
    rows.check_failed(made)
    monkeypatch.delenv("ADVPRUNE_TEST_KILLS")
    rows.mend(made)
    assert submit(made).finish() == 0
    rows.check_mended(made)
