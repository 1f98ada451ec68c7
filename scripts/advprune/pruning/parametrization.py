"""Weights computed from something else while a net trains, and plain weights again afterwards.

A *part* is a module that makes a layer's weight out of the layer's own parameter, by PyTorch's
parametrizations: a mask, a gate, a factor, noise. This is the only place that puts them on and
takes them off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList

from advprune.pruning import masks as mk

Part = TypeVar("Part", bound=nn.Module)
Make = Callable[[str, Tensor], Part]


@contextmanager
def parametrised(
    net: nn.Module, structure: str, make: Make[Part], effective: bool = False
) -> Iterator[dict[str, Part]]:
    """Attach parts inside, give them by layer name, and remove them after."""
    parts = attach(net, structure, make)
    try:
        yield parts
    finally:
        remove(net, effective)


def attach(
    net: nn.Module, structure: str, make: Make[Part], kind: str = "weight"
) -> dict[str, Part]:
    """Put `make(name, weight)` on the weight of every prunable layer; the parts by layer name.

    `make` gets the layer's own parameter, detached, and may fill it. All parts are made before the
    first is put on. `kind` "bias" does the same with the biases of the layers that have one.
    """
    layers = mk.prunable(net, structure)
    tensors = {n: getattr(m, kind) for n, m in layers.items() if getattr(m, kind) is not None}
    parts = {name: make(name, tensor.detach()) for name, tensor in tensors.items()}
    for name, part in parts.items():
        parametrize.register_parametrization(layers[name], kind, part, unsafe=True)
    return parts


def remove(net: nn.Module, effective: bool = False) -> None:
    """Take all parts off; the net is a plain one and all its parameters can be trained.

    The layers' own parameters stay, or with `effective` what the parts made of them.
    """
    for module in list(net.modules()):
        if parametrize.is_parametrized(module):
            for kind in _lists(module):
                parametrize.remove_parametrizations(module, kind, leave_parametrized=effective)
    net.requires_grad_(True)


def original(layer: nn.Module) -> Tensor:
    """The layer's own parameter, of which the parts on it make the weight."""
    return _lists(layer)["weight"].original


def parts_on(layer: nn.Module, sort: type[Part]) -> list[tuple[Part, Tensor]]:
    """Parts of a sort on a layer, each with the layer's own parameter: the weight's, the bias's."""
    found = ((part, entry.original) for entry in _lists(layer).values() for part in entry)
    return [(part, own) for part, own in found if isinstance(part, sort)]


def _lists(layer: nn.Module) -> dict[str, ParametrizationList]:
    """What PyTorch keeps of a layer's own parameters and parts, by the names of the parameters."""
    found = layer.get_submodule("parametrizations").named_children()
    return {kind: entry for kind, entry in found if isinstance(entry, ParametrizationList)}
