"""Adversarial images of one shard in a file, beside what the table says of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advprune.base.provenance import sha256
from advprune.data.tensorfile import load_tensors, save_tensors

_KIND = "adversarials-1"
IMAGES = "images"


def keep(
    path: Path | None, table: Mapping[str, Any], images: torch.Tensor, data: str
) -> dict[str, str]:
    """Save where a path is given; returns what the attack's card then says of the file."""
    if path is None:
        return {}
    save(path, table, images, data)
    return {"adversarials": sha256(path)}


def save(path: Path, table: Mapping[str, Any], images: torch.Tensor, data: str) -> None:
    """Write images [N, C, H, W], float32 in [0, 1], and the numeric columns [N] of their table.

    They are as the attack left them and not rounded to grey levels, which would change verdicts;
    where it found nothing stands the image itself. Equal content gives equal bytes.
    """
    columns = {name: np.asarray(column) for name, column in table.items()}
    numeric = {name: array for name, array in columns.items() if array.dtype.kind in "biuf"}
    tensors = {name: torch.from_numpy(array) for name, array in numeric.items()}
    save_tensors(path, _KIND, tensors | {IMAGES: images}, {"data": data})


def load(path: Path) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Read (images, columns); a missing, damaged or foreign file is a UserError."""
    tensors, _ = load_tensors(path, _KIND)
    return tensors.pop(IMAGES), tensors
