"""Nets that were trained elsewhere: the `external` entries of a configuration.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.data.specs import spec_of
from advprune.models.foreign.chosen import check
from advprune.models.foreign.outline import outline
from advprune.models.foreign.reading import Asked
from advprune.plan.checks import expanded, sparsity_text
from advprune.plan.grid import Model
from advprune.plan.variants import PREFIX, base

DEFAULTS = {"structure": "none", "sparsity": 0, "seed": 0, "rename": {}}
SMALLEST = 0.001  # of a deviation: nets that take images in [0, 255] have 1/255


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
    words = {key: entry.get(key) for key in ("key", "masks", "scores", "moments", "layout")}
    return Asked(rename=entry["rename"], **words)


def claims(entry: Mapping[str, Any]) -> dict[str, float]:
    """Accuracies in [0, 1] that an entry claims, of "clean" and of "robust" images."""
    return {key: float(entry[key]) for key in ("clean", "robust") if key in entry}


def _check(entry: Mapping[str, Any], config: Mapping[str, Any], where: str) -> None:
    """Refuse what contradicts the rest of the configuration, or itself."""
    for kind in ("dataset", "arch"):
        if entry[kind] not in config[f"{kind}s"]:
            raise UserError(f"{where}: '{entry[kind]}' is not described under {kind}s")
    _check_moments(entry, spec_of(base(config, "dataset", entry["dataset"])).shape[0], where)
    if (entry["structure"] == "none") != (entry["sparsity"] == 0):
        raise UserError(f"{where}: structure {entry['structure']}, sparsity {entry['sparsity']}")
    if entry.get("scores") == "apply" and entry["structure"] != "unstructured":
        raise UserError(f"{where}.scores: applied to single weights: structure: unstructured")
    if "layout" in entry and asked(entry).by_hand:
        raise UserError(f"{where}: layout says what rename, masks: apply and scores: leave would")
    for pattern, replacement in entry["rename"].items():
        try:
            re.sub(pattern, replacement or "", "layer1.0.conv1.weight")
        except re.error as error:
            raise UserError(f"{where}.rename: '{pattern}': {error}") from None


def _check_moments(entry: Mapping[str, Any], channels: int, where: str) -> None:
    if ("mean" in entry) != ("std" in entry):
        raise UserError(f"{where}: mean and std, or neither where its layout tells them")
    for kind in ("mean", "std"):
        values = entry.get(kind, [SMALLEST] * channels)
        if len(values) != channels:
            raise UserError(f"{where}.{kind}: {entry['dataset']} has {channels} channel(s)")
        least = SMALLEST if kind == "std" else 0
        for value in values:
            if not least <= value <= 1:
                raise UserError(
                    f"{where}.{kind}: {value} is none of images in [0, 1]; "
                    "divide those of images in [0, 255] by 255"
                )


def check_files(found: Mapping[str, Mapping[str, Any]], nets: Mapping[str, Any]) -> None:
    """Refuse entries whose file cannot be read, or leaves a choice that they do not make.

    `nets` has the description of each one's net (`specs.CheckNetSpec`). Paths are relative to where
    the run happens. Names, types and shapes are read, no weights.
    """
    for method, entry in found.items():
        where = f"config: external.{method.removeprefix(PREFIX)}"
        if re.search("[{}]", entry["path"]):
            raise UserError(
                f"{where}.path: {entry['path']}: braces are Snakemake's wildcards: rename the file"
            )
        try:
            told = {"sparsity": entry["sparsity"], "moments": "mean" in entry}
            check(outline(Path(entry["path"])), asked(entry), vars(nets[method]), **told)
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
