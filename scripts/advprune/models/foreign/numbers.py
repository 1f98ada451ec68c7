"""The numbers of a file whose outline was read: its tensors by their ways."""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from advprune.base.errors import UserError
from advprune.base.text import line
from advprune.models.checkpoint import load_checkpoint
from advprune.models.foreign.outline import Outline, Way
from advprune.models.foreign.pickles import NUMPY, STAND_INS, UNREAD, VALUES, Array


class Numbers:
    """The content of a file, read whole onto the CPU; a damaged one is a `UserError`."""

    def __init__(self, outline: Outline) -> None:
        self.path = outline.path
        try:
            self.content = _content(outline)
        except UserError:
            raise
        except pickle.UnpicklingError:
            raise UserError(f"{self.path}: {UNREAD}") from None
        except Exception as error:  # on damaged files torch's reader fails in every way there is
            reason = line(str(error))[:200] or type(error).__name__
            raise UserError(f"{self.path}: damaged or no checkpoint ({reason})") from None

    def value(self, way: Way) -> Any:
        """What lies at a way."""
        node = self.content
        for key in way:
            node = node[key] if isinstance(node, Mapping) else node[int(key)]
        return node

    def holds(self, way: Way) -> bool:
        """Whether something lies at a way of tables."""
        node = self.content
        for key in way:
            if not isinstance(node, Mapping) or key not in node:
                return False
            node = node[key]
        return True

    def tensor(self, way: Way) -> Tensor:
        """The tensor at a way, dense and detached."""
        found = torch.as_tensor(self.value(way)).detach()
        if found.is_quantized:  # only its whole numbers, which nobody is to take for the weights
            return found.int_repr()
        return found.to_dense() if found.layout != torch.strided else found


def _content(outline: Outline) -> Any:
    if outline.kind == "ours":
        loaded = load_checkpoint(outline.path)
        return {"net": loaded.net.state_dict(), "mask": loaded.masks, "last": loaded.last or {}}
    if outline.kind == "safetensors":
        with safe_open(outline.path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
    with torch.serialization.safe_globals(_as_data()):
        return _plain(torch.load(outline.path, map_location="cpu", weights_only=True), {})


def _as_data() -> list[Any]:
    """What torch is to read besides its own: stand-ins for NumPy's objects and for plain values.

    NumPy's own take what a file says of them as it is: a forged type makes pointers of its bytes.
    """
    return [(STAND_INS[name], name) for name in (*NUMPY, *VALUES)]


def _plain(node: Any, done: dict[int, Any]) -> Any:
    """The content with a tensor for every NumPy array of numbers, as the outline has it.

    What was met before, by its id, is `done`: tables may hold one another, and themselves.
    """
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, Array) and node.info():
        done[id(node)] = _tensor(node)
    elif isinstance(node, Mapping):
        table: dict[Any, Any] = {}
        done[id(node)] = table
        table.update((key, _plain(value, done)) for key, value in node.items())
    elif isinstance(node, list):
        found: list[Any] = []
        done[id(node)] = found
        found.extend(_plain(value, done) for value in node)
    else:
        return node
    return done[id(node)]


def _tensor(array: Array) -> Tensor:
    """A NumPy array's numbers, whatever the order of their bytes."""
    _, shape, dtype, fortran, raw = array.state
    kind = np.dtype(dtype.given[0]).newbyteorder(dtype.state[1])
    numbers = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")
    return torch.from_numpy(numbers.astype(kind.newbyteorder("=")))
