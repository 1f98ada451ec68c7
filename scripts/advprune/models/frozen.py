"""A net held still: what every attack needs while it looks for adversarial inputs."""

from collections.abc import Iterator
from contextlib import contextmanager

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
        with parametrize.cached():
            yield net
    finally:
        # not net.train(): layers a method keeps in eval mode must stay there
        for module, flag in training:
            module.training = flag
        for parameter, flag in required:
            parameter.requires_grad_(flag)
