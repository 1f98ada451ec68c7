"""A net from its description, with explicit initialisation: no global random state is touched.

Each net is one module of `models/nets`, loaded by its name, with

    build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module

so that a job's code holds its own net only. The net must show its images to `normalize` first.
"""

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.models.names import known_nets
from advprune.models.normalize import Normalize


@dataclass(frozen=True)
class NetSpec:
    """All that is needed to build a net: `size` is the side of the images in pixels.

    `width` is the number of channels of the first stage of blocks (64 in the papers); `mean` and
    `std` are those of the data, one number per channel, in [0,1] units.
    """

    arch: str
    width: int
    classes: int
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON keeps exactly."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetSpec":
        """Invert `to_dict`; missing or unknown fields are a `UserError`."""
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            wrong = ", ".join(sorted(expected ^ set(values)))
            raise UserError(f"net description: missing or unknown field(s) {wrong}")
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def build(spec: NetSpec, generator: torch.Generator | None = None) -> nn.Module:
    """Return the net on the CPU, in training mode, initialised from the generator.

    Without a generator the weights are those of seed 0: for nets about to be loaded or measured.
    An unknown architecture is a `UserError` that lists the known ones.
    """
    if spec.arch not in known_nets():
        known = ", ".join(known_nets())
        raise UserError(f"unknown architecture '{spec.arch}' (known: {known})")
    if not len(spec.mean) == len(spec.std) == spec.channels:
        raise UserError(f"net description: mean and std must have {spec.channels} number(s) each")
    normalize = Normalize(spec.mean, spec.std)
    module = importlib.import_module(f"advprune.models.nets.{spec.arch}")
    sizes = {key: getattr(spec, key) for key in ("width", "classes", "channels", "size")}
    # PyTorch's layers draw their first weights from the global generator when they are made.
    with torch.random.fork_rng(devices=[]):
        net = module.build(normalize, **sizes)
    init_weights(net, generator or torch.Generator().manual_seed(0))
    return net


def init_weights(net: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew, in module order, in place.

    Convolutions: normal with deviation √(2 / fan-out) (He et al. 2015). Linear layers: uniform in
    ±1/√fan-in, bias 0. Batch normalisation: scale 1, shift 0, running statistics forgotten.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            continue
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
