"""Extra images to train with: the `extra` entries of a configuration's datasets.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.data import npz
from advprune.data.specs import spec_of
from advprune.plan.checks import expanded

HALF = 0.5  # as in Carmon et al. 2019


def path(config: Mapping[str, Any], dataset: str) -> str | None:
    """File of a dataset's extra images, relative to where the run happens; None without any."""
    entry = config["datasets"][dataset].get("extra")
    where = f"config: datasets.{dataset}.extra.path"
    return os.path.normpath(expanded(entry["path"], where)) if entry else None


def ratio(config: Mapping[str, Any], dataset: str) -> float:
    """Share of them in every batch of training; 0 without any."""
    entry = config["datasets"][dataset].get("extra")
    return float(entry.get("ratio", HALF)) if entry else 0.0


def check_files(config: Mapping[str, Any]) -> None:
    """Refuse files that are not there or hold other images or labels than their dataset."""
    for name, entry in config["datasets"].items():
        if file := path(config, name):
            spec = spec_of(entry.get("dataset", name))
            try:
                if {"{", "}"} & set(file):
                    raise UserError(f"{file}: braces are Snakemake's wildcards: rename the file")
                npz.check(Path(file), spec.shape, spec.classes)
            except UserError as error:
                raise UserError(f"config: datasets.{name}.extra.path: {error}") from None
