"""Refusing what no schema can: values that are well-formed but with which a run cannot end well.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from advprune.base import imports
from advprune.base.errors import UserError

LARGEST = 2**53  # JSON's numbers are exact so far


def check_values(config: Mapping[str, Any]) -> None:
    """Refuse what no other program would read as it is: numbers that are none, half letters."""
    for where, value in _leaves(config):
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            raise UserError(f"config: {where}: {value!a} holds half of a letter (\\ud…)")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config: {where}: {value} is not a finite number")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise UserError(f"config: {where}: more than {LARGEST}")


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse radii beyond the images' range, and lost sparsities."""
    for name, entry in config["datasets"].items():
        radii = {"eps": entry["eps"], "training_attack.step": entry["training_attack"]["step"]}
        for where, text in radii.items():
            if Fraction(text) > 1:
                raise UserError(f"config: datasets.{name}.{where}: {text} of images in [0, 1]")
        if entry.get("limits", {}).get("train", 2) < 2:
            raise UserError(f"config: datasets.{name}.limits.train: a batch needs two images")
    _check_figures(config)
    for i, block in enumerate(config["grid"]):
        for kind in ("unstructured", "structured"):
            for value in block.get(kind, []):
                sparsity_text(value, f"config: grid.{i}.{kind}")


def _check_figures(config: Mapping[str, Any]) -> None:
    """Refuse names of datasets and nets of which a figure's file could not tell whose it is."""
    places: dict[str, tuple[str, str]] = {}
    for place in itertools.product(config["datasets"], config["archs"]):
        other = places.setdefault("-".join(place), place)
        if other != place:
            raise UserError(f"config: files of {'/'.join(other)} and {'/'.join(place)} clash")


def check_objective(objective: Mapping[str, Any], where: str) -> None:
    """Refuse an objective that does not exist, or a parameter that it does not take."""
    known = imports.modules_in("training.objectives")
    if objective["name"] not in known:
        raise UserError(
            f"{where}: unknown objective '{objective['name']}' (known: {', '.join(known)})"
        )
    declared = imports.fields(f"training.objectives.{objective['name']}")
    takes = declared - {"threat"}  # which is the dataset's
    unknown = sorted(objective.keys() - {"name"} - takes)
    if declared and unknown:
        raise UserError(f"{where}: {objective['name']} has no {', '.join(unknown)}")


def expanded(path: str, where: str) -> str:
    """The path with `~` and `$NAME` written out; one that cannot be is a UserError."""
    found = os.path.expanduser(os.path.expandvars(path))
    if lacking := re.search(r"\$(\w+|\{\w+\})", found):
        raise UserError(f"{where}: {path}: {lacking[0]} is not set")
    if found.startswith("~"):
        raise UserError(f"{where}: {path}: no such user")
    return found


def check_recipe(recipe: Mapping[str, Any], where: str) -> None:
    """Refuse a rate that rises twice."""
    if recipe.get("schedule") == "onecycle" and recipe.get("warmup"):
        raise UserError(f"{where}: warmup and onecycle both raise the rate: take one of them")


def sparsity_text(value: float, where: str) -> str:
    """Text of a sparsity for file names; one that it would not keep exactly is a UserError."""
    text = f"{value:g}"
    if float(text) != value or not re.fullmatch(r"[0-9.]+", text):
        raise UserError(f"{where}: {value}: at most six digits, and not below 0.0001")
    return text


def check_override(published: Any, given: Any, where: str) -> None:
    """Refuse a hyper-parameter of another kind than the published one: text for a number, say.

    Null may stand for any value and be any value: to several methods it means "without".
    """
    if isinstance(published, Mapping) and isinstance(given, Mapping):
        for key in published.keys() & given.keys():
            check_override(published[key], given[key], f"{where}.{key}")
    elif None not in (published, given) and _kind(published) != _kind(given):
        message = f"{given!r} is {_kind(given)}, the published value is {_kind(published)}"
        raise UserError(f"{where}: {message}")


def _kind(value: Any) -> str:
    kinds = {bool: "a truth value", str: "text", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a number")


def _leaves(content: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Values of nested tables and lists, each with its dotted place."""
    if isinstance(content, Mapping | list):
        pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in pairs:
            yield from _leaves(value, f"{where}.{key}" if where else str(key))
    else:
        yield where, content
