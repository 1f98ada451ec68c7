"""Variants: a method, dataset or net under another name, with settings of its own.

Rows, files and tables carry the variant's name; what is loaded is the method, dataset or net that
it varies, its *base*. Pure Python without torch. Every complaint is one line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from advprune.base.errors import UserError

Entry = str | Mapping[str, Any]  # of a block's methods
CHANGES = ("objective", "objectives", "params", "recipes", "shares")
NAME = re.compile(r"[a-z][a-z0-9_-]*")
PREFIX = "external-"  # of nets that were trained elsewhere
RESERVED = ("pretrained", "curves", "thin_ice")  # folders of a run's results


@dataclass(frozen=True)
class Variant:
    """A method as the grid asks for it; of a plain method, `name` is its key, and nothing changes.

    `changes` are laid over all else that is known of the method, `title` is what reports call it.
    """

    name: str
    key: str
    title: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


def asked(entry: Entry) -> tuple[str, list[str] | None]:
    """Name and structures that an entry of a block asks for; None stands for all that it has."""
    if isinstance(entry, str):
        return entry, None
    ((key, given),) = entry.items()
    if isinstance(given, list):
        return key, given
    return given.get("as", key), given.get("structures")


def read(config: Mapping[str, Any], known: list[str]) -> dict[str, Variant]:
    """Methods of the grid by their rows' names, in its order; `known` are the methods' keys."""
    defined: dict[str, Variant] = {}
    for i, block in enumerate(config["grid"]):
        for entry in block["methods"]:
            variant = _definition(entry, known, f"config: grid.{i}")
            if variant and defined.setdefault(variant.name, variant) != variant:
                raise UserError(f"config: grid.{i}: another '{variant.name}' than before")
    names = [asked(entry)[0] for block in config["grid"] for entry in block["methods"]]
    return {name: defined.get(name, Variant(name, name)) for name in names}


def _definition(entry: Entry, known: list[str], where: str) -> Variant | None:
    """Variant that an entry defines; None where it only names one or a plain method."""
    if isinstance(entry, str):
        return None
    ((key, given),) = entry.items()
    if isinstance(given, list):
        return None
    if "as" not in given:
        changed = [word for word in (*CHANGES, "name") if word in given]
        if changed:
            raise UserError(f"{where}.{key}: {changed[0]} needs a name for the variant (as: …)")
        return None
    check_name(given["as"], known, f"{where}.{key}.as")
    changes = {word: given[word] for word in CHANGES if word in given}
    return Variant(given["as"], key, given.get("name", given["as"]), changes)


def check_name(name: str, taken: list[str], where: str) -> None:
    """Refuse a variant's name that files cannot bear, or that stands for something else."""
    if not NAME.fullmatch(name):
        raise UserError(f"{where}: '{name}' is not of small letters, digits, _ and -")
    if name in taken:
        raise UserError(f"{where}: '{name}' is a name of its own")
    if name.startswith(PREFIX) or name in RESERVED:
        raise UserError(f"{where}: '{name}' stands for something else in the results")


def base(config: Mapping[str, Any], kind: str, name: str) -> str:
    """Dataset (kind "dataset") or net ("arch") behind a name of the configuration."""
    own: str = config[f"{kind}s"][name].get(kind, name)
    return own


def data_source(config: Mapping[str, Any], name: str) -> str:
    """Name of the dataset whose files a dataset uses.

    All with the same base and the same limits have the same images: those of the base where it is
    one of them, else of the first.
    """
    entries, own = config["datasets"], base(config, "dataset", name)
    same = [
        other
        for other, entry in entries.items()
        if entry.get("limits", {}) == entries[name].get("limits", {})
        and base(config, "dataset", other) == own
    ]
    return own if own in same else same[0]
