"""How much a run writes, against what is free. Estimates, from the nets' sizes."""

from dataclasses import dataclass
from pathlib import Path

from advprune.base.errors import UserError
from advprune.data.specs import spec_of
from advprune.plan.config import split_size
from advprune.plan.grid import Model
from advprune.plan.protocol import Protocol

WEIGHT, MASK = 4, 1  # bytes
GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """Bytes of a run: `whole` with all that it keeps, `least` of the evaluated nets alone."""

    whole: int
    least: int


def estimate(protocol: Protocol) -> Estimate:
    """What the nets and images of a run take; nets of unknown size count for nothing.

    A pruned model is three files (pruned, best epoch, last epoch), a pretraining two. Tables are
    small beside them; a training's resume file, three times its net, is gone at its end.
    """
    whole = sum(_images(protocol, name) for name in {m.dataset for m in protocol.models})
    least, starts = 0, set()
    for model in protocol.models:
        weights = _weights(protocol, model)
        masks = MASK * weights * (model.structure != "none")
        least += WEIGHT * weights
        if model.method not in protocol.methods:  # from elsewhere: one file
            whole += WEIGHT * weights
            continue
        whole += 3 * WEIGHT * weights + 2 * masks
        place = (model.dataset, model.arch, model.method)
        if name := protocol.pretrain_name(*place):
            starts.add((model.dataset, model.arch, name, model.seed, weights))
    return Estimate(whole + sum(2 * WEIGHT * start[-1] for start in starts), least)


def present(folder: Path) -> int:
    """Bytes of the nets and images that a run has written already."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def check(needed: Estimate, there: int, free: int) -> str:
    """A warning where the rest of a run may not fit; empty where it does.

    Where not even the evaluated nets fit, a UserError. `there` is written, `free` are left: bytes.
    """
    figures = f"{free / GIB:.1f} GiB are free, and {there / GIB:.1f} GiB of it are there"
    if needed.least - there > free:
        raise UserError(
            f"disk: the nets of this run alone take about {needed.least / GIB:.1f} GiB; {figures}"
        )
    if needed.whole - there > free:
        return f"this run takes about {needed.whole / GIB:.1f} GiB on disk; {figures}"
    return ""


def _weights(protocol: Protocol, model: Model) -> int:
    found = protocol.layers(model.dataset, model.arch)
    return sum(layer.weights for layer in found or [])


def _images(protocol: Protocol, name: str) -> int:
    channels, height, width = spec_of(protocol.dataset(name)).shape
    count = sum(split_size(protocol.config, name, part) for part in ("train", "val", "test"))
    return count * channels * height * width
