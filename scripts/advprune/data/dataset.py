"""A dataset in memory and on disk: what is trained with, and the test images, in two files.

They are apart so that other test images concern attacks alone. Each file says all that its users
must know of the dataset; none of them needs the dataset's module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advprune.base.errors import UserError
from advprune.data.tensorfile import load_tensors, save_tensors

_OFFICIAL = "official_index"
_TRAINING, _TEST = "training-data-1", "test-data-2"


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
class TrainingData:
    """Training and validation images, with mean and deviation per channel of the training ones.

    Moments are in [0,1] units; `pad` and `flip` say how images may be augmented: see `specs.Spec`.
    """

    name: str
    train: Split
    val: Split
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool

    def image_fields(self) -> dict[str, int]:
        """Return what a net for these images must agree with: classes, channels, size."""
        return _image_fields(self.train, self.classes)

    def net_fields(self) -> dict[str, Any]:
        """Return what a net must know of its data: `NetSpec(arch, width, **this)`."""
        return self.image_fields() | {"mean": self.mean, "std": self.std}

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically; equal data give equal bytes."""
        keys = ("name", "classes", "mean", "std", "pad", "flip")
        header = {key: getattr(self, key) for key in keys}
        _save(path, _TRAINING, {"train": self.train, "val": self.val}, header)

    @classmethod
    def load(cls, path: Path) -> "TrainingData":
        """Read onto the CPU; a missing, damaged or foreign file is a `UserError`."""
        keys = {"name", "classes", "mean", "std", "pad", "flip"}
        found = _load(path, _TRAINING, ("train", "val"), keys)
        return cls(**found | {key: tuple(found[key]) for key in ("mean", "std")})


@dataclass(frozen=True)
class TestData:
    """Test images, which nothing is trained or tuned with.

    `official_index`, int64 [N], says which image of the official test set each is, counted from 0
    in the official file's order (for digits: in scikit-learn's arrays).
    """

    name: str
    test: Split
    classes: int
    official_index: torch.Tensor

    def image_fields(self) -> dict[str, int]:
        """Return what a net for these images must agree with: classes, channels, size."""
        return _image_fields(self.test, self.classes)

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically; equal data give equal bytes."""
        header = {"name": self.name, "classes": self.classes}
        _save(path, _TEST, {"test": self.test}, header, {_OFFICIAL: self.official_index})

    @classmethod
    def load(cls, path: Path) -> "TestData":
        """Read onto the CPU; a missing, damaged or foreign file is a `UserError`."""
        found = _load(path, _TEST, ("test",), {"name", "classes"}, (_OFFICIAL,))
        if found[_OFFICIAL].shape != found["test"].labels.shape:
            raise UserError(f"{path}: not one official index for each test image")
        return cls(**found)


def check_split(name: str, split: Split, shape: tuple[int, ...], classes: int) -> None:
    """Refuse, as a `UserError`, images or labels that are not those of a split of this shape."""
    x, y = split.images, split.labels
    if x.dtype != torch.uint8 or x.shape[1:] != shape or y.shape != (len(x),) or len(x) == 0:
        kind, sizes = str(x.dtype).removeprefix("torch."), list(x.shape)
        raise UserError(
            f"{name}: expected uint8 images [N, {', '.join(map(str, shape))}] with one label each, "
            f"got {kind} {sizes} and {list(y.shape)} labels"
        )
    if y.min() < 0 or y.max() >= classes:
        raise UserError(f"{name}: labels {y.min()}..{y.max()} are outside 0..{classes - 1}")


def _image_fields(split: Split, classes: int) -> dict[str, int]:
    _, channels, size, _ = split.images.shape
    return {"classes": classes, "channels": channels, "size": size}


def _save(
    path: Path,
    kind: str,
    splits: Mapping[str, Split],
    header: Mapping[str, Any],
    more: Mapping[str, torch.Tensor] | None = None,
) -> None:
    tensors: dict[str, torch.Tensor] = dict(more or {})
    for part, split in splits.items():
        tensors |= {f"{part}/images": split.images, f"{part}/labels": split.labels}
    save_tensors(path, kind, tensors, header)


def _load(
    path: Path, kind: str, parts: tuple[str, ...], keys: set[str], more: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Splits, header entries and `more` tensors of a file, by their names."""
    tensors, header = load_tensors(path, kind)
    expected = {f"{part}/{what}" for part in parts for what in ("images", "labels")}
    expected |= set(more)
    lacking = (expected - tensors.keys()) | (keys - header.keys())
    if lacking:
        raise UserError(f"{path}: not a dataset of ours, lacks {', '.join(sorted(lacking))}")
    splits = {p: Split(tensors[f"{p}/images"], tensors[f"{p}/labels"]) for p in parts}
    shape = tuple(splits[parts[0]].images.shape[1:])
    for part, split in splits.items():
        check_split(f"{path}: {part}", split, shape, header["classes"])
    return splits | {key: header[key] for key in keys} | {name: tensors[name] for name in more}
