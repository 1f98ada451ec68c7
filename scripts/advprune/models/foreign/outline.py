"""The outline of a file: names, types and shapes of what it holds, and no numbers. Without torch.

Containers end here: whatever is done with a file's tensors is decided on its outline, so that the
workflow can decide it while it plans, and `numbers` follows.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.first_bytes import recognise
from advprune.base.text import line
from advprune.models.foreign import pickles
from advprune.models.foreign.pickles import Array, TensorInfo, Value

Way = tuple[str, ...]  # keys that lead to something in a file; of lists, the places
OURS = "advprune"  # our own checkpoints say so in their header
DTYPES = {"F": "float", "I": "int", "U": "uint", "C": "complex"}  # and bits, of safetensors
DEEPEST = 8


@dataclass(frozen=True)
class Outline:
    """What a file holds: nested tables and lists with a `TensorInfo` for every tensor.

    `kind` is how its numbers are read: "torch", "torch-legacy", "safetensors" or "ours".
    """

    path: Path
    kind: str
    content: Any


def outline(path: Path) -> Outline:
    """Outline of a checkpoint; of another kind of file, or one that runs code, a `UserError`."""
    kind = recognise(path)
    if kind.name not in ("safetensors", "torch", "torch-legacy"):
        raise UserError(f"{path}: no checkpoint: {kind.words}")
    try:
        if kind.name == "safetensors":
            return _safetensors(path)
        content, code = pickles.read(path, kind.name)
        content = _plain(content, {})
    except UserError:
        raise
    except Exception as error:  # damaged files fail in every way there is
        reason = f"{type(error).__name__}: {line(str(error))}"
        raise UserError(f"{path}: damaged ({reason[:200]})") from None
    if code:
        named = ", ".join(code[:3]) + ", …" * (len(code) > 3)
        raise UserError(
            f"{path}: holds more than tensors: to read it would run code of {named}; "
            "save the net's state_dict()"
        )
    return Outline(path, kind.name, content)


def children(node: Any) -> Iterator[tuple[str, Any]]:
    """What lies in a table or list, by its key; entries with other keys than texts are none.

    An optimiser numbers its parameters, so its moments are not taken for a net.
    """
    if isinstance(node, Mapping):
        yield from ((key, value) for key, value in node.items() if isinstance(key, str))
    elif isinstance(node, list | tuple) and not isinstance(node, pickles.Size):
        yield from ((str(i), value) for i, value in enumerate(node))


def tables(
    node: Any, way: Way = (), known: dict[int, bool] | None = None
) -> Iterator[tuple[Way, dict[str, TensorInfo]]]:
    """Tables and lists that hold tensors, each with its way and its tensors by name."""
    known = {} if known is None else known
    found = {key: value for key, value in children(node) if isinstance(value, TensorInfo)}
    if found:
        yield way, found
    for key, value in children(node):
        inner = not isinstance(value, TensorInfo) and len(way) < DEEPEST
        if inner and _holds_tensors(value, known):
            yield from tables(value, (*way, key), known)


def _holds_tensors(node: Any, known: dict[int, bool]) -> bool:
    """Whether a tensor lies anywhere below; `known` are nodes that were seen, by identity.

    One list may lie in a file in a thousand places, or in itself.
    """
    if id(node) not in known:
        known[id(node)] = False
        known[id(node)] = isinstance(node, TensorInfo) or any(
            [_holds_tensors(value, known) for _, value in children(node)]
        )
    return known[id(node)]


def described(node: Any) -> str:
    """What a file or a part of it holds, in a few words."""
    if isinstance(node, TensorInfo):
        return f"a tensor {list(node.shape)}"
    if isinstance(node, Mapping):
        if not node:
            return "an empty table"
        parts = [f"{key} ({_kind(value)})" for key, value in list(node.items())[:6]]
        return ", ".join(parts) + ", …" * (len(node) > len(parts))
    return _kind(node)


def _kind(value: Any) -> str:
    if isinstance(value, TensorInfo):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, Mapping):
        tensors = sum(isinstance(entry, TensorInfo) for entry in value.values())
        return f"{tensors} tensors" if tensors else f"{len(value)} entries"
    return "a value" if isinstance(value, Value) else type(value).__name__


def _safetensors(path: Path) -> Outline:
    """Of the header alone; one that is not of the file's numbers is damaged."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    about = header.pop("__metadata__", {})
    found, position = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, (begin, end) = entry["dtype"], entry["data_offsets"]
        bits = int((re.findall(r"\d+", dtype) or [8])[0])  # of a number; of BOOL 8
        if begin != position or 8 * (end - begin) != prod(entry["shape"]) * bits:
            raise ValueError(f"{name} does not lie where its header says")
        position = end
        known = DTYPES.get(dtype[0], "") + dtype[1:]
        dtype = {"BF16": "bfloat16", "BOOL": "bool"}.get(dtype, known)
        found[name] = TensorInfo(dtype, tuple(entry["shape"]), (begin,))
    if path.stat().st_size != 8 + length + position:
        raise ValueError("its length is not what its header says")
    if OURS not in about:
        return Outline(path, "safetensors", found)
    parts: dict[str, dict[str, TensorInfo]] = {}
    for name, tensor in found.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    return Outline(path, "ours", parts)


def _plain(node: Any, made: dict[int, Any]) -> Any:
    """The content with a `TensorInfo` for every NumPy array too; `made` has copies by identity."""
    if isinstance(node, Array):
        return node.info() or node
    if id(node) not in made and isinstance(node, Mapping):
        made[id(node)] = {}
        made[id(node)].update((key, _plain(value, made)) for key, value in node.items())
    elif id(node) not in made and isinstance(node, list):
        made[id(node)] = []
        made[id(node)].extend(_plain(value, made) for value in node)
    return made.get(id(node), node)
