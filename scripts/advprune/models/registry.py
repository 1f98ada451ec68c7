"""A net from its description, with explicit initialisation: no global random state is touched.

Each net is one module of `models/nets`, loaded by its name, with

    build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module

so that a job's code holds its own net only. The net must show its images to `normalize` first. A
net with options (`names.OPTIONS`) has an argument with a default for each.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.models.names import OPTIONS, known_nets, options_of
from advprune.models.normalize import Normalize


@dataclass(frozen=True)
class NetSpec:
    """All that is needed to build a net: `size` is the side of the images in pixels.

    `width` is the number of channels of the first stage of blocks (64 in the papers); `mean` and
    `std` are those of the data, one number per channel, in [0,1] units. The rest are the net's
    options, None for its own default: `final_pool` ("none", "mean" or "max" of the last map) and
    `hidden`, the units of the linear layers before the last.
    """

    arch: str
    width: int
    classes: int
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    final_pool: str | None = None
    hidden: tuple[int, ...] | list[int] | None = None

    def __post_init__(self) -> None:
        """Make equal descriptions equal, whether they were read as lists or as tuples."""
        for key in ("mean", "std", "hidden"):
            if (value := getattr(self, key)) is not None:
                object.__setattr__(self, key, tuple(value))

    @classmethod
    def of(cls, asked: Any, **images: Any) -> "NetSpec":
        """Describe the net that a job's specification (`plan.specs`) asks for.

        `images` are the fields that it does not tell: of the images, or of their moments only.
        """
        told = {f.name: getattr(asked, f.name) for f in fields(cls) if hasattr(asked, f.name)}
        return cls(**told | images)

    @property
    def options(self) -> dict[str, Any]:
        """The options that are not left to the net."""
        given = {key: getattr(self, key) for key in OPTIONS}
        return {key: value for key, value in given.items() if value is not None}

    def __str__(self) -> str:
        """Name the net in words, without the images that it is for."""
        options = [f"{key} {json.dumps(value)}" for key, value in self.options.items()]
        return ", ".join([f"{self.arch} of width {self.width}", *options])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON keeps exactly, without options that are left to the net."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {k: v for k, v in plain.items() if k not in OPTIONS or v is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetSpec":
        """Invert `to_dict`; missing or unknown fields are a `UserError`."""
        expected = {field.name for field in fields(cls)}
        if set(values) | set(OPTIONS) != expected:
            wrong = ", ".join(sorted(expected ^ (set(values) | set(OPTIONS))))
            raise UserError(f"net description: missing or unknown field(s) {wrong}")
        return cls(**values)


def build(spec: NetSpec, generator: torch.Generator | None = None) -> nn.Module:
    """Return the net on the CPU, in training mode, initialised from the generator.

    Without a generator the weights are those of seed 0: for nets about to be loaded or measured.
    An unknown architecture is a `UserError` that lists the known ones, as is an option that the
    net does not have.
    """
    if spec.arch not in known_nets():
        known = ", ".join(known_nets())
        raise UserError(f"unknown architecture '{spec.arch}' (known: {known})")
    for key in spec.options:
        if key not in (known_options := options_of(spec.arch)):
            has = ", ".join(known_options) or "none"
            raise UserError(f"net description: {spec.arch} has no option {key} (it has: {has})")
    if not len(spec.mean) == len(spec.std) == spec.channels:
        raise UserError(f"net description: mean and std must have {spec.channels} number(s) each")
    normalize = Normalize(spec.mean, spec.std)
    module = importlib.import_module(f"advprune.models.nets.{spec.arch}")
    sizes = {key: getattr(spec, key) for key in ("width", "classes", "channels", "size")}
    # PyTorch's layers draw their first weights from the global generator when they are made.
    with torch.random.fork_rng(devices=[]):
        net = module.build(normalize, **sizes, **spec.options)
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
