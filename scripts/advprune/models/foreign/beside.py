"""What a file holds beside its net: masks, scores, moments of images, other nets. Without torch."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from advprune.base.errors import UserError
from advprune.base.text import few
from advprune.models.foreign.outline import Outline, Way, children
from advprune.models.foreign.pickles import TensorInfo
from advprune.models.foreign.state import (
    CHANNELS,
    PARTS,
    TRAINING,
    Tables,
    nets,
    renamed,
    role,
    stripped,
)

MOMENTS = {"mean": ("mean", "means", "mu"), "std": ("std", "stds", "sigma")}
PAIR = {"mean", "std"}


def is_part(part: str, name: str) -> bool:
    """Whether a tensor's name is that of one of the masks, or of the scores."""
    return re.search(PARTS[part][0], name) is not None


def table_of(
    part: str, tables: Tables, taken: Way, rename: Mapping[str, str | None]
) -> dict[str, Way]:
    """Masks or scores in a table of their own, by their new names; several are a UserError."""
    found = [way for way, table in tables.items() if way != taken and role(way, table) == part]
    if len(found) > 1:
        known = " and ".join(".".join(way) for way in found)
        raise UserError(f"holds several tables of {part}, {known}: save the one that is meant")
    if not found:
        return {}
    return renamed(stripped({n: (*found[0], n) for n in tables[found[0]]}), rename)[0]


def targets(
    part: str, word: str | None, found: Mapping[str, Way], weights: Iterable[str]
) -> dict[str, Way]:
    """Masks or scores by the weights that they belong to; empty if they are to be left.

    `word` is "apply" or "leave"; without one, a file that holds any is a UserError.
    """
    if not found:
        if word:
            raise UserError(f"{part}: {word}, but it holds none")
        return {}
    if word is None:
        raise UserError(
            f"holds {part} beside dense weights ({few(found)}): {part}: apply, "
            f"or {part}: leave to take the weights as they are"
        )
    if word == "leave":
        return {}
    known, chosen = set(weights), {}
    for name, way in found.items():
        plain = re.sub(PARTS[part][0], "", name)
        target = next((n for n in (plain, f"{plain}.weight", name) if n in known), None)
        if target is None or target in chosen:
            raise UserError(f"{part}: {name} belongs to no weight of its own")
        chosen[target] = way
    return chosen


def moments(
    outline: Outline, tables: Tables, taken: Way, names: Mapping[str, Way]
) -> dict[Way, str]:
    """What may be the mean or deviation of images: "mean" or "std" by its way.

    Tensors and lists of a number per channel, by the file's names or the new ones (`names`), and
    `mean` and `std` side by side; any other single number beside a net is a rate or a noise.
    """
    own = [way for way in tables if way == taken or role(way, tables[way]) != "net"]
    ways = [(*way, n) for way in own for n, t in tables[way].items() if t.numel <= CHANNELS]
    found = {way: moment(way[-1]) for way in [*ways, *_lists(outline.content)]}
    found |= {way: moment(n) for n, way in names.items() if way in ways and moment(n)}
    training = {way for way in found if any(TRAINING.match(key) for key in way)}
    return {way: kind for way, kind in found.items() if kind and way not in training}


def moment(name: str) -> str | None:
    """Kind of moment, "mean" or "std", that a name stands for; None of other names."""
    last = name.rpartition(".")[2].lower()
    return next((kind for kind, words in MOMENTS.items() if last in words), None)


def _lists(node: Any, way: Way = ()) -> Iterator[Way]:
    """Ways to lists of numbers, and to a mean beside its deviation, in tables within tables."""
    found = dict(children(node))
    for key, value in found.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        paired = key in PAIR and found.keys() >= PAIR
        if isinstance(value, Mapping) and len(way) < 2:
            yield from _lists(value, (*way, key))
        elif (numbers is value or paired) and 0 < len(numbers) <= CHANNELS:
            yield from [(*way, key)] * all(type(number) in (int, float) for number in numbers)


def others(tables: Tables, taken: Way) -> list[str]:
    """State dicts that are not taken, in words."""
    found = [way for way in nets(tables) if tables[way] != tables[taken]]
    return [f"{'.'.join(way)} ({len(tables[way])} tensors)" for way in found]


def no_net(outline: Outline, tables: Tables, taken: Way) -> list[str]:
    """Names of what lies beside the net and is none: epochs, optimisers, arguments."""
    parts = {way[0] for way, table in tables.items() if way and role(way, table) != "other"}
    return [
        key
        for key, value in children(outline.content)
        if key not in {*parts, *taken[:1]} and not isinstance(value, TensorInfo)
    ]
