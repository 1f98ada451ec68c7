"""Extra images in the workflow: planned for what trains, judged by content, named on the cards."""

import json
import os

import numpy as np
import pytest

from advprune.base.provenance import sha256
from advprune.models.checkpoint import load_checkpoint
from advprune.report.verify import verify
from helpers.checkout import Checkout, tiny_config
from helpers.extra import write

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("extra data")]
MODEL = "results/tiny/digits/resnet18/hydra/unstructured-0.8/seed0"
TRAINING = {"pretrain", "prune", "finetune"}


def config(path="more.npz"):
    changed = tiny_config()
    changed["datasets"]["digits"]["extra"] = {"path": path, "ratio": 0.25}
    changed["grid"][0]["methods"] = ["dense", "hydra"]
    return changed


@pytest.fixture
def checkout(tmp_path):
    checkout = Checkout(tmp_path / "repo", config())
    write(checkout.folder / "more.npz")
    return checkout


def rules(checkout):
    return {rule for rule, _ in checkout.planned()}


def test_another_content_or_share_trains_again_and_a_time_stamp_does_not(checkout):
    checkout.pretend()
    assert rules(checkout) == set()
    os.utime(checkout.folder / "more.npz")
    assert rules(checkout) == set()
    write(checkout.folder / "more.npz", 30)
    planned = rules(checkout)
    assert planned >= TRAINING and not planned & {"dataset", "check_net"}
    write(checkout.folder / "more.npz")
    assert rules(checkout) == set()
    checkout.edit("tiny.yaml", "ratio: 0.25", "ratio: 0.5")
    assert rules(checkout) == planned


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "datasets.digits.extra.path: more.npz: no such file"),
        ({"label": np.arange(20)}, "more.npz: labels 0..19 are outside 0..9"),
        ({"image": np.zeros((20, 8, 8), np.uint8)}, "more.npz: image is uint8 [20, 8, 8], not"),
    ],
)
def test_a_wrong_file_is_one_line_before_anything_runs(checkout, changes, message):
    if changes is None:
        (checkout.folder / "more.npz").unlink()
    else:
        write(checkout.folder / "more.npz", **changes)
    done = checkout.snakemake("--cores", "1", check=False)
    assert done.returncode and "Traceback" not in done.stderr + done.stdout
    assert sum(message in line for line in done.stderr.splitlines()) == 1, done.stderr
    assert not list((checkout.folder / "results").rglob("*.*"))


def test_every_card_of_a_training_names_them(checkout):
    checkout.snakemake("--cores", "1", f"{MODEL}/checkpoint.safetensors")
    digest = sha256(checkout.folder / "more.npz")
    (pretrained,) = checkout.folder.glob("results/tiny/digits/resnet18/pretrained/*/seed0.json")
    own = [checkout.folder / MODEL / name for name in ("pruned.json", "checkpoint.json")]
    for card in (pretrained, *own):
        content = json.loads(card.read_text(encoding="utf-8"))
        assert content["parents"]["extra"] == digest and content["spec"]["extra"] == 0.25
        assert content["marks"] == ["trained with 20 extra images, 25 % of every batch"]
    load_checkpoint(checkout.folder / MODEL / "checkpoint.safetensors")
    assert all(problem == "" for _, problem in verify(checkout.folder / "results/tiny"))
