"""Synthetic released files: random numbers in the container that a layout's authors write."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from advprune.models.foreign.fitted import fitted
from advprune.models.foreign.layouts import FOLDER, known

State = dict[str, Tensor]
LAYOUTS = sorted(known())
ONE = 0.5413248546129181  # softplus of it is 1
BESIDE: dict[str, Callable[[], Any]] = {
    "int": lambda: 7,
    "float": lambda: 0.5,
    "str": lambda: "a text",
    "number": lambda: np.float64(0.25),
    "tensor": lambda: torch.tensor(0.5),
    "namespace": lambda: argparse.Namespace(lr=0.1, dataset="cifar10", path=Path("somewhere")),
    "dict": lambda: {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 1}]},
}


def synthetic(
    layout_name: str,
    path: Path,
    divide: int = 8,
    seed: int = 0,
    change: Callable[[State], None] | None = None,
    sizes: tuple[int, int] = (10, 3),
) -> State:
    """Write a file of a layout, and return its state dict by the layout's names, without prefix.

    Dimensions of 64 and more are divided by `divide`. `change` may edit the state dict before it
    is written, to prune it say. `sizes` are the numbers of classes and of channels.
    """
    state = state_of(layout_name, divide, seed, sizes)
    if change:
        change(state)
    written = authors(layout_name)
    net = {written.get("prefix", "") + name: tensor for name, tensor in state.items()}
    content = {key: BESIDE[kind]() for key, kind in written.get("beside", {}).items()}
    if masks := known()[layout_name].masks:
        table, key = masks.split(".")
        content[table] = {key: _masks(state), "epoch": 3}
    torch.save(net if written["at"] == "top" else content | {written["at"]: net}, path)
    return state


def state_of(
    layout_name: str, divide: int = 8, seed: int = 0, sizes: tuple[int, int] = (10, 3)
) -> State:
    """Random tensors of a layout by its names, as a trained net's: variances are positive."""
    layout, rng = known()[layout_name], torch.Generator().manual_seed(seed)
    fit = fitted(layout, 64 // divide, *sizes)
    moments = {name: getattr(layout, kind) for kind, name in layout.moments.items()}
    state: State = {}
    for name, shape in fit.shapes.items():
        if name in moments:
            state[name] = torch.tensor(moments[name])
        elif name in fit.same:
            state[name] = state[fit.same[name]]
        else:
            state[name] = _random(name.rpartition(".")[2], shape, rng)
    return state


def authors(layout_name: str) -> dict[str, Any]:
    """The container that the authors write, or else the benchmark's."""
    content = yaml.safe_load((FOLDER / f"{layout_name}.yaml").read_text(encoding="utf-8"))
    found = sorted(content["written"], key=lambda one: one["by"] != "authors")
    return dict(found[0])


def _random(part: str, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    if part == "num_batches_tracked":
        return torch.tensor(100)
    if part in ("mask", "weight_mask"):
        return (torch.rand(shape, generator=rng) > 0.5).float()
    if part in ("mask_weight", "mask_bias"):
        return torch.full(shape, ONE)
    if part == "running_var":
        return torch.rand(shape, generator=rng) + 0.5
    found = torch.randn(shape, generator=rng)
    if part in ("weight", "weight_orig", "aux_weight"):
        # as large as keeps the size of what goes through; BatchNorm's scale around 1
        fan = found[0].numel() if found.ndim > 1 else 0
        return found * (1 / fan) ** 0.5 if fan else found * 0.2 + 1
    return found * 0.3 if part in ("bias", "running_mean") else found


def _masks(state: State) -> State:
    """FlyingBird's masks beside the net, by the names and places of its parameters."""
    buffers = ("running_mean", "running_var", "num_batches_tracked", "mean", "std")
    names = [name for name in state if name.rpartition(".")[2] not in buffers]
    return {f"{n}_{i}": (state[n] != 0).float() for i, n in enumerate(names) if state[n].ndim > 1}
