"""Whether evaluations may stand in one table: what was asked of the models must be the same."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# What distinguishes models or jobs and never how they were judged: the model itself, its base seed,
# the part of the images, whether adversarials were written, how a person writes the radius.
APART = {"row", "seed", "shard", "keep", "eps_text"}


def differing(specs: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Fields in which specifications differ, by their dotted names, with all values in order.

    Of evaluations of one dataset and net, `specs` are the `spec` of their cards
    (evaluation.card.json), to which a caller adds what else must agree, such as `images`, `norm`,
    `width` or `budget`. A field at its default stays out of a specification and is "default" here.
    Nothing differs, and the result is empty, when they may be joined.
    """
    flat = [dict(_fields(spec)) for spec in specs]
    names = sorted({name for fields in flat for name in fields})
    values = {name: _distinct(fields.get(name, "default") for fields in flat) for name in names}
    return {name: found for name, found in values.items() if len(found) > 1}


def described(fields: Mapping[str, Iterable[Any]]) -> str:
    """Differing fields as one line: "eps: 0.2 and 0.25; hofmn.steps: 100 and 200"."""
    return "; ".join(f"{name}: {' and '.join(map(str, v))}" for name, v in fields.items())


def _fields(spec: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in spec.items():
        if key in APART:
            continue
        if isinstance(value, Mapping):
            yield from _fields(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Values without repetition, by equality; lists are no keys of a set."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
