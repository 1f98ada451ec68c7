"""What is minimised: the interface of training objectives, and how one is made from its name.

An objective is called with the net in training mode and returns a scalar loss. Each is one file in
`training/objectives/`; docs/objectives.md lists them.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from advprune.base import imports
from advprune.base.errors import UserError
from advprune.plan.specs import Threat


class Objective(Protocol):
    """A loss with its inner attack.

    One that needs a net of its own has a method `begin`, see the function of that name.
    """

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Scalar loss of a batch, `x` [B,C,H,W] in [0,1], `y` [B]; differentiable in the net."""
        ...


def single_step(objective: Objective) -> bool:
    """Say whether the inner attack is one step of the whole radius: such training can collapse.

    An objective says so by an attribute `single_step`; one without it has more steps or no attack.
    """
    return bool(getattr(objective, "single_step", False))


def begin(objective: Objective, net: nn.Module, rng: torch.Generator) -> nn.Module:
    """Return the companion of a phase: a net that the objective needs, to be trained along.

    The training loop calls this once at the start of every phase, gives the companion's parameters
    to the phase's optimiser and saves its state with the net's. An objective makes one in its own
    `begin(net, rng)`; one without that method has an empty companion.
    """
    own = getattr(objective, "begin", None)
    companion: nn.Module = nn.Module() if own is None else own(net, rng)
    return companion


def make(spec: Mapping[str, Any], threat: Threat) -> Objective:
    """Objective from its configuration `{name: …, <parameter>: …}`."""
    parameters = dict(spec)
    name = parameters.pop("name")
    known = imports.modules_in("training.objectives")
    if name not in known:
        raise UserError(f"unknown objective '{name}' (known: {', '.join(known)})")
    kind = importlib.import_module(f"advprune.training.objectives.{name}").OBJECTIVE
    try:
        return kind(threat, **parameters)
    except TypeError:
        raise UserError(f"objective '{name}' does not take {sorted(parameters)}") from None
