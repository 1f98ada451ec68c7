"""A net held still: what every attack needs while it looks for adversarial inputs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import parametrize


@contextmanager
def frozen(net: nn.Module) -> Iterator[nn.Module]:
    """Eval mode and no parameter gradients inside; every flag as before afterwards.

    Parametrised weights (masks, scores) are computed once for the whole block. A training step
    must therefore not hold `parametrize.cached()` itself around a `frozen` block: the weights
    cached in here carry no gradient, and would outlive the block.
    """
    training = [(module, module.training) for module in net.modules()]
    required = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    try:
        net.eval()
        for parameter, _ in required:
            parameter.requires_grad_(False)
        with _channels_last(net), parametrize.cached():
            yield net
    finally:
        # not net.train(): layers a method keeps in eval mode must stay there
        for module, flag in training:
            module.training = flag
        for parameter, flag in required:
            parameter.requires_grad_(flag)


@contextmanager
def _channels_last(net: nn.Module) -> Iterator[None]:
    """Lay the kernels out as the images are; what is written to them inside stays.

    Otherwise every pass rearranges them: a fifth of the time of an epoch of PGD on a CPU. Outside
    they are laid out as ever, so that masks and scores made after them are too.
    """
    kept = [(parameter, parameter.data) for parameter in net.parameters() if parameter.dim() == 4]
    try:
        for parameter, data in kept:
            parameter.data = data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data.copy_(parameter.data)
