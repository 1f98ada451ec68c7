"""Nets that were trained elsewhere: the `external` entries of a configuration.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.data.specs import spec_of
from advprune.models.foreign.outline import outline
from advprune.models.foreign.reading import Asked, read
from advprune.plan.checks import expanded, sparsity_text
from advprune.plan.grid import Model
from advprune.plan.variants import PREFIX, base

DEFAULTS = {"structure": "none", "sparsity": 0, "seed": 0, "rename": {}}


def entries(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Entries with their defaults, by the name that stands for a method in their rows and files."""
    found = {}
    for key, entry in config.get("external", {}).items():
        entry = {"name": key} | DEFAULTS | entry
        where = f"config: external.{key}"
        _check(entry, config, where)
        found[PREFIX + key] = entry | {"path": expanded(entry["path"], f"{where}.path")}
    return found


def asked(entry: Mapping[str, Any]) -> Asked:
    """What an entry says of the choices that its file may leave."""
    words = {key: entry.get(key) for key in ("key", "masks", "scores", "moments")}
    return Asked(rename=entry["rename"], **words)


def _check(entry: Mapping[str, Any], config: Mapping[str, Any], where: str) -> None:
    """Refuse what contradicts the rest of the configuration, or itself."""
    for kind in ("dataset", "arch"):
        if entry[kind] not in config[f"{kind}s"]:
            raise UserError(f"{where}: '{entry[kind]}' is not described under {kind}s")
    channels = spec_of(base(config, "dataset", entry["dataset"])).shape[0]
    for kind in ("mean", "std"):
        if len(entry[kind]) != channels:
            raise UserError(f"{where}.{kind}: {entry['dataset']} has {channels} channel(s)")
    if (entry["structure"] == "none") != (entry["sparsity"] == 0):
        raise UserError(f"{where}: structure {entry['structure']}, sparsity {entry['sparsity']}")
    if entry.get("scores") == "apply" and entry["structure"] != "unstructured":
        raise UserError(f"{where}.scores: applied to single weights: structure: unstructured")
    for pattern, replacement in entry["rename"].items():
        try:
            re.sub(pattern, replacement or "", "layer1.0.conv1.weight")
        except re.error as error:
            raise UserError(f"{where}.rename: '{pattern}': {error}") from None


def check_files(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse entries whose file cannot be read, or leaves a choice that they do not make.

    Paths are relative to where the run happens. Names, types and shapes are read, no weights.
    """
    for method, entry in found.items():
        where = f"config: external.{method.removeprefix(PREFIX)}"
        if re.search("[{}]", entry["path"]):
            raise UserError(
                f"{where}.path: {entry['path']}: braces are Snakemake's wildcards: rename the file"
            )
        try:
            read(outline(Path(entry["path"])), asked(entry))
        except UserError as error:
            raise UserError(f"{where}.path: {error}") from None


def models(found: Mapping[str, Mapping[str, Any]]) -> list[Model]:
    """Rows of the nets that were trained elsewhere."""
    return [
        Model(
            *(entry["dataset"], entry["arch"], method, entry["structure"]),
            sparsity_text(entry["sparsity"], f"config: {method}"),
            entry["seed"],
        )
        for method, entry in found.items()
    ]
