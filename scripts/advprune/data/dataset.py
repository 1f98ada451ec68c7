"""A dataset in memory and on disk: three splits of uint8 images, in a fixed stratified order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advprune.base.errors import UserError
from advprune.data.order import stratified_order
from advprune.data.specs import Spec
from advprune.data.tensorfile import load_tensors, save_tensors

SPLITS = ("train", "val", "test")
_KIND = "dataset-2"
_HEADER = ("name", "classes", "mean", "std", "pad", "flip")


@dataclass(frozen=True)
class Split:
    """Images, uint8 [N, C, H, W], and labels, int64 [N], on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Split":
        """Return the split on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    def take(self, n: int) -> "Split":
        """Return the first n images (all, if there are fewer)."""
        return Split(self.images[:n], self.labels[:n])


@dataclass(frozen=True)
class Dataset:
    """Three splits with the per-channel mean and deviation of the training one, in [0,1] units.

    `pad` and `flip` say how training images may be augmented: see `specs.Spec`.
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool

    def net_fields(self) -> dict[str, Any]:
        """Return what a net must know of its data: `NetSpec(arch, width, **this)`."""
        _, channels, size, _ = self.train.images.shape
        return {
            "classes": self.classes,
            "channels": channels,
            "size": size,
            "mean": self.mean,
            "std": self.std,
        }


def from_arrays(
    spec: Spec,
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    *,
    val: int | None = None,
    limits: dict[str, int] | None = None,
) -> Dataset:
    """Build a dataset from images, uint8 [N, C, H, W], and labels in 0..classes-1.

    The validation split is the first `val` (default: the spec's) training images of a fixed
    stratified order, the training split the rest of it; the test split is put in such an order
    too. The first n images of any split are therefore a fair sample of it, and `limits`
    ({"train": n, ...}) keeps just those. Arrays that do not fit the spec are a `UserError`.
    """
    name = spec.name
    val = spec.val if val is None else val
    for x, y in ((train_x, train_y), (test_x, test_y)):
        _check(name, x, y, spec.shape, spec.classes)
    if not 0 < val < len(train_y):
        raise UserError(f"{name}: cannot take {val} validation images from {len(train_y)}")
    order = stratified_order(train_y)
    cuts = {
        "val": _split(train_x, train_y, order[:val]),
        "train": _split(train_x, train_y, order[val:]),
        "test": _split(test_x, test_y, stratified_order(test_y)),
    }
    for part, n in (limits or {}).items():
        if part not in cuts or n < 1:
            raise UserError(f"{name}: limit {part}={n}; limits are {', '.join(SPLITS)}, 1 or more")
        cuts[part] = cuts[part].take(n)
    mean, std = channel_moments(cuts["train"].images)
    if min(std) == 0:
        raise UserError(f"{name}: a channel is constant over the {len(cuts['train'])} train images")
    return Dataset(
        name, **cuts, classes=spec.classes, mean=mean, std=std, pad=spec.pad, flip=spec.flip
    )


def channel_moments(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and (population) deviation per channel of uint8 images, in [0,1] units.

    Computed from counts of the 256 values, so the same to the last bit on every machine.
    """
    values = np.arange(256, dtype=np.int64)
    means, stds = [], []
    for channel in images.transpose(0, 1):
        counts = np.bincount(channel.reshape(-1).cpu().numpy(), minlength=256)
        total, first, second = (int((counts * values**k).sum()) for k in range(3))
        means.append(first / total / 255)
        stds.append(((second * total - first * first) / total**2) ** 0.5 / 255)
    return tuple(means), tuple(stds)


def save(dataset: Dataset, path: Path) -> None:
    """Write the dataset as one safetensors file, atomically; equal datasets give equal bytes."""
    tensors = {}
    for part in SPLITS:
        split = getattr(dataset, part)
        tensors |= {f"{part}/images": split.images, f"{part}/labels": split.labels}
    header = {key: getattr(dataset, key) for key in _HEADER}
    save_tensors(path, _KIND, tensors, header)


def load(path: Path) -> Dataset:
    """Read a dataset onto the CPU; a missing, damaged or foreign file is a `UserError`."""
    tensors, header = load_tensors(path, _KIND)
    expected = {f"{p}/{part}" for p in SPLITS for part in ("images", "labels")}
    lacking = (expected - tensors.keys()) | (set(_HEADER) - header.keys())
    if lacking:
        raise UserError(f"{path}: not a dataset of ours, lacks {', '.join(sorted(lacking))}")
    shape = tuple(tensors["train/images"].shape[1:])
    for p in SPLITS:
        images, labels = (tensors[f"{p}/{part}"].numpy() for part in ("images", "labels"))
        _check(f"{path}: {p}", images, labels, shape, header["classes"])
    splits = {p: Split(tensors[f"{p}/images"], tensors[f"{p}/labels"]) for p in SPLITS}
    moments = {key: tuple(header[key]) for key in ("mean", "std")}
    return Dataset(**{key: header[key] for key in _HEADER} | splits | moments)


def _split(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Split:
    images = np.ascontiguousarray(images[rows])
    return Split(torch.from_numpy(images), torch.from_numpy(labels[rows].astype(np.int64)))


def _check(name: str, x: np.ndarray, y: np.ndarray, shape: tuple[int, ...], classes: int) -> None:
    if x.dtype != np.uint8 or x.shape[1:] != shape or y.shape != (len(x),) or len(x) == 0:
        raise UserError(
            f"{name}: expected uint8 images [N, {', '.join(map(str, shape))}] with one label each, "
            f"got {x.dtype} {list(x.shape)} and {list(y.shape)} labels"
        )
    if y.min() < 0 or y.max() >= classes:
        raise UserError(f"{name}: labels {y.min()}..{y.max()} are outside 0..{classes - 1}")
