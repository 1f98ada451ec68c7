"""Accuracy on corrupted test images, and the file that holds them; `imagenet_c` makes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.data.batches import to_float
from advprune.data.tensorfile import load_tensors, save_tensors

_KIND = "corrupted-1"
CLEAN = "none"
Corrupted = dict[tuple[str, int], Tensor]


def save(path: Path, corrupted: Mapping[tuple[str, int], Tensor], data: str) -> None:
    """Write uint8 images [N, C, H, W] by (corruption, severity), made from the dataset `data`."""
    tensors = {f"{name}/{severity}": images for (name, severity), images in corrupted.items()}
    save_tensors(path, _KIND, tensors, {"data": data})


def load(path: Path, data: str) -> Corrupted:
    """Read what `save` wrote; images of another dataset are a UserError."""
    tensors, header = load_tensors(path, _KIND)
    if header["data"] != data:
        raise UserError(f"{path}: images of {header['data']}, not of {data}")
    found = {}
    for key, images in tensors.items():
        name, _, severity = key.partition("/")
        found[name, int(severity)] = images
    return found


def measure(
    net: nn.Module, corrupted: Mapping[tuple[str, int], Tensor], labels: Tensor, batch: int
) -> list[dict[str, Any]]:
    """Rows of accuracy per corruption and severity, in their order, of a net in eval mode.

    `labels` [N] are on the net's device, images anywhere; other numbers of images are a UserError.
    """
    rows = []
    for (name, severity), images in sorted(corrupted.items()):
        if len(images) != len(labels):
            raise UserError(f"{name}: {len(images)} images for {len(labels)} labels")
        right = correct(net, images, labels, batch)
        counts = {"images": len(labels), "correct": right, "accuracy": right / len(labels)}
        rows.append({"corruption": name, "severity": severity, **counts})
    return rows


@torch.no_grad()
def correct(net: nn.Module, images: Tensor, labels: Tensor, batch: int) -> int:
    """Count the uint8 images [N, C, H, W] that a net puts into their class."""
    count = 0
    for some, right in zip(images.split(batch), labels.split(batch), strict=True):
        count += int((net(to_float(some.to(labels.device))).argmax(1) == right).sum())
    return count
