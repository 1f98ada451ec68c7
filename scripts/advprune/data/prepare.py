"""From a dataset's name to its tensors: fixed splits, and the moments of the training images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from advprune.base.errors import UserError
from advprune.data.dataset import Split, TestData, TrainingData, check_split
from advprune.data.order import stratified_order
from advprune.data.specs import Spec, module_of

SPLITS = ("train", "val", "test")


def prepare(
    name: str, *, data_root: Path | None, cache: Path, limits: Mapping[str, int] | None = None
) -> tuple[TrainingData, TestData]:
    """Read a dataset from `data_root`, or download it into `cache` (digits needs neither).

    `limits` ({"train": n, "val": n, "test": n}, each optional, upper bounds) keeps the first n
    images of a split. All splits, the test one included, are in a fixed stratified order and not
    the official one, so that the first n are a fair sample. What cannot be had is a `UserError`.
    """
    module = module_of(name)
    return from_arrays(module.SPEC, *module.read(data_root, cache), limits=limits)


def from_arrays(
    spec: Spec,
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    test_index: np.ndarray | None = None,
    *,
    val: int | None = None,
    limits: Mapping[str, int] | None = None,
) -> tuple[TrainingData, TestData]:
    """Build a dataset from images, uint8 [N, C, H, W], and labels in 0..classes-1.

    The validation split is the first `val` (default: the spec's) training images of a fixed
    stratified order, the training split the rest of it; the test split is put in such an order
    too. The first n images of any split are therefore a fair sample of it, and `limits`
    ({"train": n, ...}) keeps just those. `test_index`, int [N], has the official index of every
    test image, by default its place in `test_x`. Arrays that do not fit the spec are a `UserError`.
    """
    name, val = spec.name, spec.val if val is None else val
    for x, y in ((train_x, train_y), (test_x, test_y)):
        whole = Split(torch.from_numpy(np.asarray(x)), torch.from_numpy(np.asarray(y)))
        check_split(name, whole, spec.shape, spec.classes)
    if not 0 < val < len(train_y):
        raise UserError(f"{name}: cannot take {val} validation images from {len(train_y)}")
    numbers = _official(name, test_index, len(test_y))
    order, test_order = stratified_order(train_y), stratified_order(test_y)
    cuts = {
        "val": _split(train_x, train_y, order[:val]),
        "train": _split(train_x, train_y, order[val:]),
        "test": _split(test_x, test_y, test_order),
    }
    for part, n in (limits or {}).items():
        if part not in cuts or n < 1:
            raise UserError(f"{name}: limit {part}={n}; limits are {', '.join(SPLITS)}, 1 or more")
        cuts[part] = cuts[part].take(n)
    mean, std = channel_moments(cuts["train"].images)
    if min(std) == 0:
        raise UserError(f"{name}: a channel is constant over the {len(cuts['train'])} train images")
    training = TrainingData(
        name=name,
        classes=spec.classes,
        train=cuts["train"],
        val=cuts["val"],
        mean=mean,
        std=std,
        pad=spec.pad,
        flip=spec.flip,
    )
    test = cuts["test"]
    official = torch.from_numpy(numbers[test_order][: len(test)])
    return training, TestData(name=name, classes=spec.classes, test=test, official_index=official)


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


def _official(name: str, given: np.ndarray | None, images: int) -> np.ndarray:
    """Official indexes of the test images, int64, as given or the places they have."""
    if given is None:
        return np.arange(images, dtype=np.int64)
    found = np.asarray(given).astype(np.int64)
    if found.shape != (images,) or len(np.unique(found)) != images or found.min() < 0:
        raise UserError(f"{name}: official indexes are not one number from 0 on per test image")
    return found


def _split(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Split:
    images = np.ascontiguousarray(images[rows])
    return Split(torch.from_numpy(images), torch.from_numpy(labels[rows].astype(np.int64)))
