"""The numbers of a file whose outline was read: its tensors by their ways."""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy import dtypes
from safetensors import safe_open
from torch import Tensor

from advprune.base.errors import UserError
from advprune.base.text import line
from advprune.models.checkpoint import load_checkpoint
from advprune.models.foreign.outline import Outline, Way
from advprune.models.foreign.pickles import UNREAD, VALUES, Value


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
        return torch.load(outline.path, map_location="cpu", weights_only=True)


def _as_data() -> list[Any]:
    """What torch is to read besides its own: NumPy's scalars and arrays, and plain values."""
    known: list[Any] = [np.dtype, np.ndarray, *(getattr(dtypes, n) for n in dtypes.__all__)]
    makers = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
    for package in ("numpy.core", "numpy._core"):  # before NumPy 2, and since
        known += [(made, f"{package}.multiarray.{name}") for name, made in makers.items()]
    return known + [(Value, name) for name in VALUES]
