"""A pretraining writes the net of its best epoch and that of its last, each with its card."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from advprune.base.files import read_json
from advprune.base.provenance import sha256
from advprune.base.record import to_dict
from advprune.data.dataset import TrainingData
from advprune.models.checkpoint import load_checkpoint
from advprune.plan.specs import PretrainSpec, Recipe
from helpers.small import blobs
from helpers.training import THREAT

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
# the script, with a monitor that finds the first of two epochs the better or the worse
RIGGED = """
import runpy, sys
from advprune.training.loop import Trainer
monitor = Trainer._monitor
def rigged(self, loop, record, phase):
    return monitor(self, loop, record, phase) | {{"val_pgd": {figures}[loop.epoch - 1]}}
Trainer._monitor = rigged
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.mark.parametrize(("figures", "taken"), [((0.9, 0.4), 1), ((0.4, 0.9), 2)])
def test_the_best_epoch_and_the_last_are_written(tmp_path, figures, taken):
    data = TrainingData("digits", blobs(12), blobs(6, 1), 3, (0.5,), (0.25,), 0, False)
    data.save(tmp_path / "train.safetensors")
    best, last = (tmp_path / f"seed0{part}.safetensors" for part in ("", ".last"))
    recipe = Recipe(epochs=2, batch=6, lr=0.1)
    spec = PretrainSpec("resnet18", 2, 0, THREAT, {"name": "natural"}, recipe)
    code = RIGGED.format(figures=figures, script=str(SCRIPTS / "pretrain.py"))
    command = [sys.executable, "-c", code, "--device", "cpu", "--spec", json.dumps(to_dict(spec))]
    command += ["--data", tmp_path / "train.safetensors", "--out", best, "--last", last]
    paths = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    subprocess.run(command, env=paths, check=True, timeout=120)
    for path in (best, last):
        card = read_json(path.with_suffix(".json"))
        assert card["sha256"] == sha256(path)
        assert (card["best"]["pretrain"]["epoch"], card["best"]["pretrain"]["of"]) == (taken, 2)
    one, two = (load_checkpoint(path).net.state_dict() for path in (best, last))
    assert all(torch.equal(one[name], two[name]) for name in one) == (taken == 2)
    steps = [int(state["bn1.num_batches_tracked"]) for state in (one, two)]
    assert steps == [2 * taken, 4]
