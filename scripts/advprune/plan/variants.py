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
RELEASED = "released-"  # and of those that a method's authors released
# folders of a run's results
RESERVED = ("pretrained", "curves", "figures", "sections", "released", "thin_ice")


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
    if name.startswith((PREFIX, RELEASED)) or name in RESERVED:
        raise UserError(f"{where}: '{name}' stands for something else in the results")


def base(config: Mapping[str, Any], kind: str, name: str) -> str:
    """Dataset (kind "dataset") or net ("arch") behind a name of the configuration."""
    own: str = config[f"{kind}s"].get(name, {}).get(kind, name)
    return own


def limits(config: Mapping[str, Any], name: str) -> dict[str, int]:
    """Limits of a dataset's splits, or of the images in the folder of a base that only varies."""
    entries = config["datasets"]
    if name not in entries:
        name = next(other for other in entries if data_source(config, other) == name)
    found: dict[str, int] = entries[name].get("limits", {})
    return found


def data_source(config: Mapping[str, Any], name: str) -> str:
    """Name of the folder in which a dataset's images are: its base's or its own.

    It is the base's if the base is configured with the same limits, or is not configured and all
    that vary it have these limits. So no further dataset with the same limits moves a file.
    """
    own = base(config, "dataset", name)
    given = {
        other: entry.get("limits", {})
        for other, entry in config["datasets"].items()
        if base(config, "dataset", other) == own
    }
    shared = [given[own]] if own in given else given.values()
    return own if all(other == given[name] for other in shared) else name
