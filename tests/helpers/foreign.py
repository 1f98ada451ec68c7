"""Checkpoints as other programs write them, of one small net."""

import torch
from torch import Tensor, nn

from advprune.models.registry import NetSpec, build

SPEC = NetSpec("resnet18", 4, 10, 1, 8, (0.3,), (0.4,))


class Code:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return (print, ("this must never be printed",))


def net_of(seed: int = 7, spec: NetSpec = SPEC) -> nn.Module:
    """A net with random weights and, as trained nets have them, random statistics."""
    rng = torch.Generator().manual_seed(seed)
    net = build(spec, rng)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=rng)
            module.running_var.uniform_(0.5, 2, generator=rng)
    return net.eval()


def state_of(net: nn.Module) -> dict[str, Tensor]:
    """What a program without our normalisation layer would save."""
    return {k: t.clone() for k, t in net.state_dict().items() if not k.startswith("normalize.")}


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two nets have the same tensors, to the bit."""
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(left[k].equal(right[k]) for k in left)


def prefixed(text: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under names that begin with a text."""
    return {text + key: tensor for key, tensor in state.items()}


def masks_of(state: dict[str, Tensor], share: float = 0.5) -> dict[str, Tensor]:
    """Random masks of the weights with more than one axis, by their names."""
    rng = torch.Generator().manual_seed(1)
    return {
        k: torch.rand(t.shape, generator=rng) > share
        for k, t in state.items()
        if k.endswith("weight") and t.ndim > 1
    }
