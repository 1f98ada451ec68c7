"""The compact copy of every net against the net itself: one pass with gradients by the images."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.bench.profiling import nets
from advprune.bench.timing import race
from advprune.compact.convert import for_attacks
from advprune.models.names import known_nets

BATCH = 16
SLIM = "filters 0.75"  # of `profiling.PRUNED`
NETS: dict[str, dict[str, Any]] = {name: {"arch": name} for name in known_nets()}
NETS |= {
    "vgg16-max": {"arch": "vgg16", "final_pool": "max", "hidden": ()},
    "vgg16-mean-512": {"arch": "vgg16", "final_pool": "mean", "hidden": (512,)},
}


def measure(
    name: str, width: int, repeats: int, device: torch.device, size: int = 32
) -> dict[str, Any]:
    """Race a fresh net of `NETS` without three quarters of its filters against its compact copy.

    Images have three colours and `size`×`size` pixels. Besides the times there is the largest
    difference between their gradients, over the largest gradient.
    """
    net = nets(width, size, (SLIM,), **NETS[name])[SLIM].to(device)
    x = torch.rand(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    small, y = for_attacks(net, x), net(x).argmax(1)
    sides = partial(_gradient, net, x, y), partial(_gradient, small, x, y)
    figures, expected, found = race(*sides, repeats, device)
    return figures | {
        "batch": BATCH,
        "difference": ((expected - found).abs().max() / expected.abs().max()).item(),
    }


def _gradient(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(net(x), y), x)[0]
