"""The layouts in `config/released/layouts`: what a released file holds, and what it means.

Their form is in `config/released/README.md`. Without torch.
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from advprune.base.errors import UserError
from advprune.models.foreign.formulas import Formula, parsed
from advprune.models.foreign.frames import COUNTER, PARTS, Layer

FOLDER = Path(__file__).resolve().parents[4] / "config" / "released" / "layouts"
NETS = {"vgg16": {"final_pool": "none", "hidden": [4, 4]}}  # options where a layout gives none


@dataclass(frozen=True)
class Kind:
    """A kind of layer: its tensors with their shapes in words, and formulas of our parts."""

    holds: Mapping[str, tuple[str | int, ...]]
    makes: Mapping[str, Formula]
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A layout file.

    `net` has the options of our net, `hidden` in units of its width. `kinds` are the kinds of
    layers, `names` patterns of our layers' names and what they are there. `moments` are tensors of
    mean and deviation by "mean" and "std", `twice` patterns of tensors and their second names, and
    `masks` the place of a table of masks that are in the weights already. `learned_shares` says
    that layers' removed shares are learned, so that equal ones are a fault. `mean` and `std` are
    None where nobody knows; `images` says in words what is known.
    """

    name: str
    method: str
    net: Mapping[str, Any]
    kinds: Mapping[str, Kind]
    images: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    moments: Mapping[str, str] = field(default_factory=dict)
    twice: Mapping[str, str] = field(default_factory=dict)
    masks: str | None = None
    learned_shares: bool = False
    notes: tuple[str, ...] = ()

    def theirs(self, layer: str) -> str:
        """Their name of a layer of ours: by the first pattern that fits, or ours."""
        found = (put(layer, *pair) for pair in pairs(self.names))
        return next((new for new in found if new is not None), layer)

    def main(self, layer: Layer) -> str:
        """Their name of the tensor that has a layer's outputs and inputs."""
        held = self.kinds[layer.kind].holds
        part = next(name for name, words in held.items() if words[:2] == ("out", "in"))
        return f"{self.theirs(layer.name)}.{part}"


@functools.cache
def known() -> Mapping[str, Layout]:
    """All layouts by name; one that contradicts itself is a `UserError`."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.yaml"))}


@functools.cache
def digest() -> str:
    """Digest of all layout files: what a conversion depends on besides its file and its code."""
    files = sorted(FOLDER.glob("*.yaml"))
    content = b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:16]


def put(name: str, pattern: str, new: str) -> str | None:
    """A name under a new one; `*` in both stands for any text. None where it does not fit."""
    begin, star, end = pattern.partition("*")
    if not star:
        return new if name == pattern else None
    if len(name) < len(begin + end) or not (name.startswith(begin) and name.endswith(end)):
        return None
    return new.replace("*", name[len(begin) : len(name) - len(end)])


def pairs(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Patterns one by one: `{0,3}: {a,b}` stands for 0 and a, 3 and b."""
    for one, other in names.items():
        left, right = (re.search(r"\{(.*)\}", text) for text in (one, other))
        if left is None or right is None:
            yield one, other
            continue
        for first, second in zip(left[1].split(","), right[1].split(","), strict=True):
            yield one.replace(left[0], first), other.replace(right[0], second)


def load(path: Path) -> Layout:
    """Read a layout file; whatever is wrong with it is a `UserError`."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        kinds = {kind: _kind(kind, content.get(kind) or {}) for kind in PARTS}
        if "hidden" not in content:
            kinds["hidden"] = kinds["linear"]
        _check_all_used(kinds)
        optional = ("names", "moments", "twice", "masks")
        return Layout(
            name=path.stem,
            method=content["method"],
            net=NETS.get(content["net"]["arch"], {}) | content["net"],
            kinds=kinds,
            images=content["images"],
            mean=_numbers(content, "mean"),
            std=_numbers(content, "std"),
            notes=tuple(content.get("notes", ())),
            **{key: content[key] for key in optional if key in content},
            learned_shares=content.get("shares") == "learned",
        )
    except (KeyError, ValueError, UserError) as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}") from None


def _numbers(content: Mapping[str, Any], key: str) -> tuple[float, ...] | None:
    return tuple(map(float, content[key])) if key in content else None


def _kind(kind: str, content: Mapping[str, Any]) -> Kind:
    """What is not said of a kind is as in our nets."""
    usual, given = PARTS[kind], content.get("holds")
    holds = usual if given is None else {name: tuple(words) for name, words in given.items()}
    makes = {part: Formula("copy", (part,)) for part in usual if part in holds}
    makes |= {part: parsed(formula) for part, formula in content.get("makes", {}).items()}
    if lost := set(usual) - set(makes):
        raise UserError(f"{kind}: nothing makes {', '.join(sorted(lost))}")
    return Kind(holds, makes, tuple(content.get("unused", ())))


def _check_all_used(kinds: Mapping[str, Kind]) -> None:
    """Refuse a layout with a tensor that is neither taken by a formula nor said to be unused."""
    of_norms = {n for formula in kinds["norm"].makes.values() for n in formula.names()}
    for name, kind in kinds.items():
        used = {n for formula in kind.makes.values() for n in formula.names()} | set(kind.unused)
        used |= {n.removeprefix("conv.") for n in of_norms} if name == "conv" else set()
        if lost := set(kind.holds) - used - {COUNTER}:
            raise UserError(f"{name}: nothing is made of {', '.join(sorted(lost))}")
