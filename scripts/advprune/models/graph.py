"""What can be read off a net: what belongs to a convolution's filters, and what layers cost."""

from collections import Counter
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn

from advprune.models.frozen import frozen
from advprune.models.normalize import Normalize


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalize) or super().is_leaf_module(m, module_qualified_name)


def trace(net: nn.Module) -> fx.Graph:
    """Return the operations of a net's forward pass in order, with layers and Normalize whole.

    A net whose path depends on the images has none: whatever torch.fx raises.
    """
    return _Tracer().trace(net)


def batchnorm_of(net: nn.Module) -> dict[str, str]:
    """Map convolutions to their own BatchNorm, in the order of the net's layers.

    That is the one which alone reads what the convolution makes. A convolution whose output is
    added to something else, as the last one of a pre-activation block, has none. A net is traced
    once and remembered: its layers must not be exchanged for others.
    """
    if net not in _PAIRS:
        _PAIRS[net] = _pairs(net)
    return dict(_PAIRS[net])


def own_norms(net: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """The BatchNorm itself of every convolution that `batchnorm_of` names one for."""
    found = ((conv, net.get_submodule(norm)) for conv, norm in batchnorm_of(net).items())
    return {conv: norm for conv, norm in found if isinstance(norm, nn.BatchNorm2d)}


def running(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Running mean and variance of a BatchNorm; one that keeps none is a TypeError."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("a BatchNorm without running statistics")
    return norm.running_mean, norm.running_var


def companions(net: nn.Module) -> dict[str, tuple[str, ...]]:
    """Map every convolution to the parameters that go where its filters go, one entry per filter.

    They are scale and shift of its own BatchNorm, or its bias if it has no BatchNorm: where they
    and the filter's weights are zero, the filter's output is zero for every image.
    """
    pairs = batchnorm_of(net)
    named = {name for name, _ in net.named_parameters()}
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            norm = pairs.get(name)
            own = (f"{norm}.weight", f"{norm}.bias") if norm else (f"{name}.bias",)
            found[name] = tuple(p for p in own if p in named)
    return found


def filter_outputs(net: nn.Module) -> dict[str, str]:
    """Map every convolution to the layer whose output is its filters' own and nobody else's.

    That is its BatchNorm, or the convolution itself if it has none.
    """
    pairs = batchnorm_of(net)
    convs = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    return {name: pairs.get(name, name) for name in convs}


_PAIRS: WeakKeyDictionary[nn.Module, dict[str, str]] = WeakKeyDictionary()


def _pairs(net: nn.Module) -> dict[str, str]:
    modules = dict(net.named_modules())
    calls = [node for node in trace(net).nodes if node.op == "call_module"]
    once = {name for name, n in Counter(node.target for node in calls).items() if n == 1}
    found = {}
    for node in calls:
        follower = next(iter(node.users)) if len(node.users) == 1 else None
        if (
            follower is not None
            and follower in calls
            and {node.target, follower.target} <= once
            and isinstance(modules[node.target], nn.Conv2d)
            and isinstance(modules[follower.target], nn.BatchNorm2d)
        ):
            found[node.target] = follower.target
    return {name: found[name] for name in modules if name in found}


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
    def count(
        module: nn.Conv2d | nn.Linear, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            per_output = module.in_channels // module.groups * height * width
        else:
            per_output = module.in_features
        counts[name] = output.numel() * per_output

    return count
