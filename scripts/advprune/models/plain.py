"""What a net is without the parts that make its weights out of other parameters while it trains.

`pruning.parametrization` puts such parts on and takes them off; here they are looked through.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from advprune.models.registry import init_weights


@torch.no_grad()
def plain_state(net: nn.Module) -> dict[str, Tensor]:
    """Copies of a net's tensors as those of the plain architecture.

    A parameter that is computed from something else while it trains has its value, under its own
    name.
    """
    state = {n: t.clone() for n, t in net.state_dict().items() if "parametrizations." not in n}
    for name, module in net.named_modules():
        if parametrize.is_parametrized(module):
            for kind, _ in module.get_submodule("parametrizations").named_children():
                state[f"{name}.{kind}" if name else kind] = getattr(module, kind).clone()
    return state


def fresh(net: nn.Module, rng: torch.Generator) -> nn.Module:
    """Return a plain dense net of the same architecture, drawn anew, all of it to be trained.

    Nothing that a method has done to `net` stays on it: parts that make weights out of parameters,
    zeros, frozen parameters, layers in evaluation mode. `net` is not changed.
    """
    plain = copy.deepcopy(net)
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module):
            _strip(module)
    init_weights(plain, rng)
    return plain.train().requires_grad_(True)


def _strip(module: nn.Module) -> None:
    """Take a copied module's parametrizations off.

    PyTorch's own function would take them off the original too: both are of the same class, of
    which it removes the computed weight.
    """
    lists = dict(module.get_submodule("parametrizations").named_children())
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, entry in lists.items():
        module.register_parameter(name, nn.Parameter(entry.get_parameter("original").detach()))
