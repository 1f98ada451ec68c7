"""Runs of the released checkpoints on synthetic files: small nets, a few random images."""

from pathlib import Path
from typing import Any

import torch
import yaml

from advprune.plan import released
from advprune.plan.config import load_config
from advprune.plan.released import Released
from helpers.checkout import ROOT, Checkout, tiny_config
from helpers.failing_server import QUOTA
from helpers.foreign import Code
from helpers.released import State, synthetic

CIFAR10 = '''"""Random images in the place of CIFAR-10's, with its shapes and names."""

import numpy as np

from advprune.data.specs import Spec

SPEC = Spec("cifar10", (3, 32, 32), 10, train=24, val=8, test=6, pad=4, flip=True)


def read(root, cache):
    """Return train images, train labels, test images, test labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (38, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(38) % 10
    return images[:32], labels[:32], images[32:], labels[32:]
'''


def config(keys: Any = "all", **more: Any) -> dict[str, Any]:
    """`config/released.yaml` with an eighth of the width, and as little work as the tiny run's."""
    content = yaml.safe_load((ROOT / "config" / "released.yaml").read_text(encoding="utf-8"))
    for entry in content["archs"].values():
        entry["width"] = 8
        if entry.get("hidden"):
            entry["hidden"] = [64]
    content["released"] |= {"keys": keys}
    tiny = {key: tiny_config()[key] for key in ("device", "threads", "evaluation")}
    return content | tiny | {"preset": "tiny"} | more


def files(folder: Path, content: dict[str, Any]) -> dict[str, Released]:
    """Write a synthetic file for every key that a configuration asks for, pruned as it claims."""
    folder.mkdir()
    checked = load_config(content | {"released_root": str(folder)})
    found = {item.key: item for item in released.rows(checked).values()}
    for item in found.values():
        write(folder / item.file_name, item)
    return found


def write(path: Path, item: Released) -> None:
    """Write the synthetic file of one key."""
    synthetic(f"{item.method}-{item.arch}", path, change=lambda state: prune(state, item))


def prune(state: State, item: Released) -> None:
    """Remove what a key claims from a file's tensors, by magnitude in each layer.

    Filters lose their weights and keep their BatchNorm, as their authors leave it.
    """
    for name, weight in state.items():
        cut = f"{name.removesuffix('weight')}scores" in state  # by the layout's rule
        if cut or name.endswith(("mask", "mask_weight", "scores")) or weight.ndim < 2:
            continue
        if item.counted == "filters" and weight.ndim == 4:
            order = weight.flatten(1).norm(dim=1).argsort()
            weight[order[: round(float(item.sparsity) * len(weight))]] = 0
        elif item.counted == "weights" or (item.counted == "convolutions" and weight.ndim == 4):
            flat = weight.view(-1)
            flat[flat.abs().argsort()[: round(float(item.sparsity) * flat.numel())]] = 0


def spoil(folder: Path, found: dict[str, Released], ways: dict[str, str]) -> None:
    """Spoil files by their keys: missing, cut off, a page, of another method, of another net."""
    for key, way in ways.items():
        path, item = folder / found[key].file_name, found[key]
        path.unlink()
        if way == "code":
            torch.save({"state_dict": {"fc.weight": torch.ones(2)}, "best": Code()}, path)
        if way == "cut off":
            synthetic(f"{item.method}-{item.arch}", path)
            path.write_bytes(path.read_bytes()[:-5000])
        elif way == "page":
            path.write_text(QUOTA, encoding="utf-8")
        elif way == "other method":
            synthetic("mad-resnet18", path)
        elif way == "other net":
            synthetic(f"{item.method}-vgg16", path)


def checkout(folder: Path, content: dict[str, Any]) -> Checkout:
    """A working copy in which CIFAR-10 is a few random images."""
    made = Checkout(folder, content)
    (folder / "scripts/advprune/data/sets/cifar10.py").write_text(CIFAR10, encoding="utf-8")
    return made
