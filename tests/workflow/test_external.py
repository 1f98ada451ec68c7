"""Checkpoints that were trained elsewhere, evaluated beside the run's own models."""

import json

import pandas as pd
import pytest
import torch
import yaml

from advprune.models.checkpoint import load_checkpoint
from helpers.checkout import Checkout, tiny_config

pytestmark = pytest.mark.slow
MODELS = "results/tiny/digits/resnet18"


@pytest.fixture
def checkout(finished, tmp_path):
    """The finished run, and its HYDRA net as another program would have saved it."""
    checkout = finished.copy(tmp_path / "repo")
    loaded = load_checkpoint(
        checkout.folder / MODELS / "hydra/unstructured-0.8/seed0/checkpoint.safetensors"
    )
    state = loaded.net.state_dict()
    moments = {k: state.pop(f"normalize.{k}").flatten().tolist() for k in ("mean", "std")}
    theirs = {f"module.{k}": tensor for k, tensor in state.items()}
    torch.save({"state_dict": theirs, "epoch": 7}, checkout.folder / "theirs.pt")
    entry = {"path": "theirs.pt", "name": "Their net", "dataset": "digits", "arch": "resnet18"}
    claim = {"structure": "unstructured", "sparsity": 0.8}
    checkout.configure(tiny_config() | {"external": {"theirs": entry | moments | claim}})
    return checkout


def test_it_gets_the_numbers_that_it_has_as_a_model_of_ours(checkout):
    planned = {rule for rule, _ in checkout.planned()}
    assert not planned & {"dataset", "pretrain", "prune", "finetune"}
    checkout.snakemake("--cores", "1", "results/tiny/leaderboard.csv")
    table = pd.read_csv(checkout.folder / "results/tiny/leaderboard.csv").set_index("method")
    assert len(table) == 7
    ours, theirs = (table.loc[k].dropna() for k in ("hydra", "external-theirs"))
    training = {"epochs", "best_epoch", "final_epochs", "pgd20_last", "clean_last"}
    assert set(ours.index) - set(theirs.index) == training  # what is not known of it
    assert ours.drop(training).to_dict() == theirs.to_dict()
    page = (checkout.folder / "results/tiny/leaderboard.html").read_text(encoding="utf-8")
    assert '"name":"Their net","stage":"external"' in page
    card = f"{MODELS}/external-theirs/unstructured-0.8/seed0/checkpoint.json"
    assert "source" in json.loads((checkout.folder / card).read_text(encoding="utf-8"))["parents"]


def test_a_run_of_nothing_else_trains_nothing(checkout, tmp_path):
    config = yaml.safe_load((checkout.folder / "tiny.yaml").read_text(encoding="utf-8"))
    config["grid"] = []
    config["external"]["theirs"]["sparsity"] = 0.5
    config["external"]["theirs"]["path"] = str(checkout.folder / "theirs.pt")
    alone = Checkout(tmp_path / "alone", config)
    evaluation = f"{MODELS}/external-theirs/unstructured-0.5/seed0/evaluation.json"
    alone.snakemake("--cores", "1", evaluation)
    found = json.loads((alone.folder / evaluation).read_text(encoding="utf-8"))
    assert found["status"] == "flagged" and "instead of 0.5" in found["reason"]
    assert not (alone.folder / MODELS / "pretrained").exists()


def test_a_file_that_is_not_there_is_one_line_before_anything_runs(checkout):
    (checkout.folder / "theirs.pt").unlink()
    done = checkout.snakemake("--cores", "1", check=False)
    assert done.returncode and "external.theirs.path: theirs.pt: no such file" in done.stderr
    assert "Traceback" not in done.stderr
