"""The whole DAG for real, on a handful of images."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from advprune.base.files import read_json
from advprune.models.checkpoint import load_checkpoint
from advprune.plan.config import load_config
from advprune.plan.feasible import disk
from advprune.plan.protocol import Protocol
from advprune.pruning import masks as mk
from helpers.checkout import ROOT, Checkout, tiny_config

pytestmark = pytest.mark.slow
COLUMNS = [
    *("method", "dataset", "arch", "structure", "sparsity", "seed", "params", "nonzero"),
    *("sparsity_achieved", "macs", "clean_accuracy", "autoattack_accuracy", "autoattack_low"),
    *("autoattack_high", "hofmn_accuracy", "worst_accuracy", "status", "reason"),
]


def leaderboard(checkout, preset="tiny"):
    return pd.read_csv(checkout.folder / "results" / preset / "leaderboard.csv")


def test_every_model_has_a_row_on_target(finished):
    table = leaderboard(finished)
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert sorted(table["method"]) == ["dense", "flyingbird", "hydra", "li20", "lwm", "radmm"]
    assert (table["sparsity_achieved"] - table["sparsity"]).abs().max() < 0.001
    assert (table["worst_accuracy"] <= table["autoattack_accuracy"]).all()
    assert (table["worst_accuracy"] <= table["hofmn_accuracy"]).all()
    flagged = table[table["status"] == "flagged"]
    allowed = r"(clean accuracy is at chance|one answer to [\d.]+ % of the images)"
    assert flagged["reason"].str.fullmatch(rf"{allowed}(; {allowed})?").all()


def test_the_plan_has_estimated_what_the_run_wrote(finished):
    needed = disk.estimate(Protocol(load_config(tiny_config())))
    wrote = disk.present(finished.folder / "results/tiny")
    assert 0.7 < needed.whole / wrote < 1.3


def test_every_model_has_its_last_epoch_and_how_it_was_trained(finished):
    """The two nets differ exactly where another epoch than the last was taken."""
    table = leaderboard(finished).set_index("method")
    shares = table[["pgd20_best", "pgd20_last", "clean_last"]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    for method, row in table.iterrows():
        (folder,) = finished.folder.glob(f"results/tiny/digits/resnet18/{method}/*/seed0")
        best, last = (load_checkpoint(folder / f"{n}.safetensors") for n in ("checkpoint", "last"))
        cards = [
            json.loads((folder / f"{n}.json").read_text(encoding="utf-8"))
            for n in ("checkpoint", "last")
        ]
        assert all(mk.violations(net.net, best.masks) == [] for net in (best, last))
        assert cards[0]["epochs"] == cards[1]["epochs"]
        assert row["epochs"] == sum(cards[0]["epochs"].values())
        phase = "train" if method in ("flyingbird", "li20") else "finetune"
        chosen = cards[0]["best"][phase]
        assert (row["best_epoch"], row["final_epochs"]) == (chosen["epoch"], chosen["of"])
        states = (net.net.state_dict().values() for net in (best, last))
        same = all(torch.equal(a, b) for a, b in zip(*states, strict=True))
        assert same == (chosen["epoch"] == chosen["of"])


def test_the_pages_are_there_and_the_logs_say_something(finished):
    results = finished.folder / "results" / "tiny"
    assert (results / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert (results / "curves.pdf").read_bytes()[:4] == b"%PDF"
    assert "<table" in (results / "leaderboard.html").read_text(encoding="utf-8")
    log = finished.folder / "logs/tiny/prune/digits/resnet18/hydra/unstructured-0.8/seed0.log"
    assert "epoch 2/2" in log.read_text(encoding="utf-8")
    assert not list(results.rglob(".*.state")) and not list(results.rglob(".*.tmp"))


def test_a_second_checkout_elsewhere_gives_the_same_bytes(finished, tmp_path):
    """Other folder, one core instead of two, one method, the last shards of its model first."""
    config = tiny_config()
    config["grid"][0]["methods"] = ["flyingbird"]
    again = Checkout(tmp_path / "elsewhere", config)
    model = "results/tiny/digits/resnet18/flyingbird/unstructured-0.8/seed0"
    again.snakemake("--cores", "1", f"{model}/autoattack-1.csv", f"{model}/hofmn-1.csv")
    assert not list(again.folder.glob("results/tiny/**/*-0.csv"))
    gathered = "results/tiny/digits/resnet18/evaluations.json"
    again.snakemake("--cores", "1", gathered)
    for name in ("checkpoint.safetensors", "last.safetensors", "pgd.json", "evaluation.json"):
        ours, theirs = (c.folder / model / name for c in (again, finished))
        assert ours.read_bytes() == theirs.read_bytes(), name
    (ours,), theirs = (read_json(c.folder / gathered) for c in (again, finished))
    assert ours in theirs


DATA = Path(os.environ.get("ADVPRUNE_DATA", ROOT / "data"))


@pytest.mark.skipif(
    not (DATA / "cifar-10-batches-py").is_dir(),
    reason="no local CIFAR-10: set ADVPRUNE_DATA",
)
def test_cifar10_runs_through_the_same_dag(tmp_path):
    config = tiny_config()
    config |= {"preset": "cifar", "data_root": str(DATA)}
    entry = {"eps": "8/255", "training_attack": {"step": "2/255", "steps": 1}}
    config["datasets"] = {"cifar10": entry | {"limits": {"train": 200, "val": 16, "test": 4}}}
    config["archs"] = {"vgg16": {"width": 4}}
    config["grid"][0] |= {"datasets": ["cifar10"], "archs": ["vgg16"], "methods": ["dense", "lwm"]}
    checkout = Checkout(tmp_path / "repo", config)
    checkout.snakemake("--cores", "2")
    table = leaderboard(checkout, "cifar")
    assert sorted(table["structure"]) == ["channels", "filters", "none", "unstructured"]
    assert set(table["eps_text"]) == {"8/255"}
    assert (table["sparsity_achieved"] - table["sparsity"]).abs().max() < 0.01
