"""What weights can be computed from while a net trains: factors, or learned gates.

`CutOnce` fixes exact masks at one moment of the training, and at its end leaves a plain net with
the effective weights.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from advprune.pruning import masks as mk
from advprune.pruning import structures
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Scores, Units
from advprune.pruning.parametrization import remove
from advprune.training.loop import Loop


def kaiming_uniform(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """Values from U(−1/√fan_in, 1/√fan_in): PyTorch's usual start, He et al. with a = √5."""
    bound = shape[1:].numel() ** -0.5
    draw = torch.rand(shape, generator=rng, device=rng.device)
    return bound * (2 * draw - 1)


@torch.no_grad()
def signed_constants(net: nn.Module, kept: Mapping[str, float]) -> None:
    """Replace every layer's weights by their signs times √(2 / (k · fan_in)) (docs/methods/rst.md).

    k, in (0, 1], is the layer's entry in `kept` and 1 where it has none: with the share of its
    weights that is kept the layer's outputs are as large as the dense layer's.
    """
    for name, layer in mk.prunable(net, "unstructured").items():
        constant = math.sqrt(2 / (kept.get(name, 1.0) * layer.weight[0].numel()))
        layer.weight.copy_(torch.where(layer.weight < 0, -constant, constant))


class Reparam(nn.Module, ABC):
    """A parametrization whose units can be fixed as kept or removed."""

    @abstractmethod
    def fix(self, kept: Tensor) -> None:
        """From now on use exactly the units of this mask; doing it again changes nothing."""


class Product(Reparam):
    """w = W · A · mask by elements; the layer's own parameter is W (docs/methods/twinrep.md)."""

    mask: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(factor)
        self.register_buffer("mask", torch.ones_like(factor))

    def forward(self, weight: Tensor) -> Tensor:
        """Masked product of the two factors."""
        return weight * self.factor * self.mask

    def fix(self, kept: Tensor) -> None:
        """Mask of the weight's shape."""
        self.mask.copy_(kept)


class FilterProduct(Reparam):
    """w = mask · A W, each filter a mix of all filters of W, A [C_out, C_out] (Channel-Rep)."""

    mask: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(factor)
        self.register_buffer("mask", torch.ones_like(factor[:, :1]))

    def forward(self, weight: Tensor) -> Tensor:
        """Masked matrix product over the output filters."""
        return (self.mask * (self.factor @ weight.flatten(1))).view_as(weight)

    def fix(self, kept: Tensor) -> None:
        """Mask with one entry per filter."""
        self.mask.copy_(kept.view(-1, 1))


class _Open(torch.autograd.Function):
    """1 where a gate is positive; the gradient is that of 0.5 tanh + 0.5."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor) -> Tensor:
        ctx.save_for_backward(gate)
        # a layer without any unit would pass no gradient and never come back
        return ((gate > 0) | mk.top_k(gate, 1)).to(gate.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (gate,) = ctx.saved_tensors
        return gradient * 0.5 * (1 - gate.tanh().square())


class Gate(Reparam):
    """w = W · round(0.5 tanh(M) + 0.5), one M per unit (docs/methods/intrain.md, steps 1 and 2).

    Units whose `start` is positive start open. The largest M of a layer counts as open whatever it
    is.
    """

    def __init__(self, start: Tensor, structure: str) -> None:
        super().__init__()
        self.kind = structures.named(structure)
        self.gate = nn.Parameter(start)

    def open(self) -> Tensor:
        """1 or 0 per unit, with the straight-through gradient to M."""
        return _Open.apply(self.gate)

    def forward(self, weight: Tensor) -> Tensor:
        """Weight of the open units, zero elsewhere."""
        return weight * self.kind.spread(self.open(), weight)

    @torch.no_grad()
    def fix(self, kept: Tensor) -> None:
        """Set M to ±1 and stop its training."""
        self.gate.copy_(2 * kept.to(self.gate.dtype) - 1)
        self.gate.requires_grad_(False)


class CutOnce(KeepMasked):
    """Fix exact masks when the share `at` of a phase is over, and train on with them.

    The units are ranked over all layers by `score()`, with one at least left in each. The
    BatchNorm scale and shift of removed filters go with them and stay zero.
    """

    def __init__(
        self,
        net: nn.Module,
        reparams: Mapping[str, Reparam],
        score: Callable[[], Scores],
        structure: str,
        sparsity: float,
        at: float,
    ) -> None:
        super().__init__()
        self.net, self.reparams, self.score = net, reparams, score
        self.structure, self.sparsity, self.at = structure, sparsity, at
        self.units = Units({})

    def before_step(self, loop: Loop) -> None:
        """Cut before the first step that lies in the second part."""
        if not self.units and loop.time >= self.at:
            self._fix(mk.rank(self.score(), self.sparsity, scope="global", floor=1))

    def _fix(self, units: Units) -> None:
        self.units = units
        for name, kept in units.items():
            self.reparams[name].fix(kept)
        masks = mk.weight_masks(self.net, units, self.structure)
        # the layers' own weights are masked by their parametrizations
        self.masks = Masks({n: m for n, m in masks.items() if n.rpartition(".")[0] not in units})
        mk.apply(self.net, self.masks)

    def settled(self, loop: Loop) -> bool:
        """After the cut."""
        return bool(self.units)

    def finish(self) -> Masks:
        """Cut if that has not happened yet, leave the effective weights, and return the masks."""
        if not self.units:
            self._fix(mk.rank(self.score(), self.sparsity, scope="global", floor=1))
        remove(self.net, effective=True)
        return mk.weight_masks(self.net, self.units, self.structure)

    def state_dict(self) -> dict[str, Any]:
        """The unit masks, empty before the cut."""
        return {"units": self.units}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Fix the saved units again."""
        if state["units"]:
            self._fix(state["units"])
