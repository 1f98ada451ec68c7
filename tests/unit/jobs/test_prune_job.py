"""A sparsity that no net of this size can have ends the job in a line, before its search begins."""

import json
import os
import subprocess
import sys
from pathlib import Path

from advprune.base.record import to_dict
from advprune.data.dataset import TrainingData
from advprune.plan.specs import PruneSpec, Recipe
from helpers.small import blobs
from helpers.training import THREAT

ROOT = Path(__file__).resolve().parents[3]


def prune(folder, sparsity):
    """Run the job for filters by l1 norm on a net of 20 convolutions, without any training."""
    data = TrainingData("digits", blobs(12), blobs(6, 1), 3, (0.5,), (0.25,), 0, False)
    data.save(folder / "train.safetensors")
    spec = PruneSpec(
        method="filter_l1",
        arch="resnet18",
        width=2,
        seed=0,
        structure="filters",
        sparsity=sparsity,
        threat=THREAT,
        objectives={},
        recipes={"prune": Recipe(epochs=0)},
        params={},
    )
    command = [sys.executable, str(ROOT / "scripts" / "prune.py"), "--device", "cpu"]
    command += ["--data", str(folder / "train.safetensors"), "--out", str(folder / "out")]
    command += ["--spec", json.dumps(to_dict(spec))]
    paths = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, env=paths, capture_output=True, text=True, timeout=120)


def test_a_sparsity_below_a_unit_per_layer_is_refused_where_pruning_begins(tmp_path):
    refused = prune(tmp_path, 0.9)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].endswith("less than one for each of 20 layers")
    assert not (tmp_path / "out").exists()
    assert prune(tmp_path, 0.5).returncode == 0
