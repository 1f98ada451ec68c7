"""Jobs that are asked to end go on where they were, in the same run of Snakemake.

A training goes on after its last epoch, AutoAttack after the last of its attacks.
"""

import os
import shutil
import subprocess
import sys
import time

import psutil
import pytest

from helpers.checkout import Checkout, tiny_config

pytestmark = pytest.mark.slow
TRAINING = "results/tiny/digits/resnet18/pretrained"


def checkout(folder):
    config = tiny_config()
    config["grid"][0]["methods"] = ["lwm"]
    config["budget"] |= {"epochs": 32, "shares": {"pretrain": 0.94}}  # 30 and 2
    return Checkout(folder, config)


def weights(folder):
    (file,) = (folder / TRAINING).glob("*/seed0.safetensors")
    return file.read_bytes()


def until(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    return found


def terminated(repo, rule, script, log, words):
    """Run up to `rule`, ending its first job once its log has `words`; returns that log at the end.

    Snakemake may try once more.
    """
    command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", "--cores", "1"]
    command += ["--until", rule, "--retries", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=repo, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:

        def working():
            begun = any(words in p.read_text(encoding="utf-8") for p in repo.glob(f"logs/**/{log}"))
            family = psutil.Process(run.pid).children(recursive=True)
            return begun and [
                p for p in family if any(w.endswith(f"/{script}") for w in p.cmdline())
            ]

        for process in until(working, run):
            process.terminate()
        output = run.communicate(timeout=300)[0].decode()
    assert run.returncode == 0, output
    assert not list((repo / "results").rglob(".*"))
    (found,) = (repo / "logs/tiny" / rule).rglob(log)
    return found.read_text(encoding="utf-8")


def test_a_terminated_training_is_resumed_by_the_next_attempt(tmp_path):
    undisturbed = checkout(tmp_path / "undisturbed")
    undisturbed.snakemake("--cores", "1", "--until", "pretrain")
    repo = checkout(tmp_path / "repo").folder
    log = terminated(repo, "pretrain", "scripts/pretrain.py", "seed0.log", "epoch 3/")
    assert "resumed after epoch" in log
    assert weights(repo) == weights(undisturbed.folder)


def test_a_terminated_autoattack_is_resumed_by_the_next_attempt(tmp_path):
    config = tiny_config()
    config["grid"][0]["methods"] = ["dense"]
    # some images must survive the first attacks
    config["datasets"]["digits"] |= {
        "eps": "1/1000",
        "limits": {"train": 256, "val": 16, "test": 40},
    }
    config["evaluation"]["autoattack"] |= {"shard": 40, "batch": 40}
    repo = Checkout(tmp_path / "repo", config)
    repo.snakemake("--cores", "1", "--until", "autoattack")
    (table,) = repo.folder.glob("results/**/autoattack-0.csv")
    undisturbed = table.read_bytes()
    table.unlink()
    shutil.rmtree(repo.folder / "logs")
    log = terminated(
        *(repo.folder, "autoattack", "scripts/autoattack.py", "seed0-0.log"), "INFO    apgd-t"
    )
    assert "resumed after clean, apgd-ce, apgd-t" in log
    assert table.read_bytes() == undisturbed
