"""What can be read off a net's layers: which normalisation follows which, and what they cost."""

from collections.abc import Callable

import torch
from torch import nn

from advprune.models.frozen import frozen


def batchnorm_of(net: nn.Module) -> dict[str, str]:
    """Map the name of every convolution to the name of the batch normalisation that follows it.

    Relies on the nets here listing the two one after the other; a net that does not (a convolution
    without, or a normalisation of other size) is a `ValueError`.
    """
    modules = [
        (name, module)
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    pairs = {}
    for (name, conv), (follower, bn) in zip(modules[::2], modules[1::2], strict=False):
        if not (
            isinstance(conv, nn.Conv2d)
            and isinstance(bn, nn.BatchNorm2d)
            and conv.out_channels == bn.num_features
        ):
            raise ValueError(f"{follower} is not the batch normalisation of {name}")
        pairs[name] = follower
    if 2 * len(pairs) != len(modules):
        raise ValueError(f"{modules[-1][0]} has no counterpart")
    return pairs


def macs(net: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, int]:
    """Count the multiply-accumulates of each convolution and linear layer for one image.

    `input_shape` is (C, H, W). Counts the layers as they are: zeros in them cost as much as any
    number. The net is left as it was.
    """
    counts: dict[str, int] = {}
    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            hooks.append(module.register_forward_hook(_counter(counts, name)))
    device = next(net.parameters()).device
    try:
        with frozen(net), torch.no_grad():
            net(torch.zeros(1, *input_shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def _counter(counts: dict[str, int], name: str) -> Callable[..., None]:
    def count(module: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            per_output = module.in_channels // module.groups * height * width
        else:
            per_output = module.in_features
        counts[name] = output.numel() * per_output

    return count
