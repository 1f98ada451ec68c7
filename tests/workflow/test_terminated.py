"""A training that is asked to end goes on after its last epoch, in the same run of Snakemake."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from checkout import Checkout, tiny_config

pytestmark = pytest.mark.slow
TRAINING = "results/tiny/digits/resnet18/pretrained"


def checkout(folder):
    config = tiny_config()
    config["grid"][0]["methods"] = ["lwm"]
    config["budget"]["pretrain"] = config["budget"]["pretrain"] | {"epochs": 30}
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


def test_a_terminated_training_is_resumed_by_the_next_attempt(tmp_path):
    undisturbed = checkout(tmp_path / "undisturbed")
    undisturbed.snakemake("--cores", "1", "--until", "pretrain")
    repo = checkout(tmp_path / "repo").folder
    command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", "--cores", "1"]
    command += ["--until", "pretrain", "--retries", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=repo, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:

        def training():
            begun = any("epoch 3/" in p.read_text() for p in repo.glob("logs/**/seed0.log"))
            family = psutil.Process(run.pid).children(recursive=True)
            return begun and [p for p in family if "scripts/pretrain.py" in p.cmdline()]

        for process in until(training, run):
            process.terminate()
        output = run.communicate(timeout=300)[0].decode()
    assert run.returncode == 0, output
    (log,) = (repo / "logs/tiny/pretrain").rglob("seed0.log")
    assert "resumed after epoch" in log.read_text()
    assert weights(repo) == weights(undisturbed.folder)
    assert not list((repo / "results").rglob(".*"))
