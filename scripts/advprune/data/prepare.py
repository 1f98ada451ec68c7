"""From a dataset's name to its tensors."""

from pathlib import Path

from advprune.data.dataset import Dataset, from_arrays
from advprune.data.digits import digits
from advprune.data.specs import spec_of
from advprune.data.torchvision_sets import cifar10, svhn


def prepare(
    name: str, *, data_root: Path | None, cache: Path, limits: dict[str, int] | None = None
) -> Dataset:
    """Read a dataset from `data_root`, or download it into `cache` (digits needs neither).

    `limits` ({"train": n, "val": n, "test": n}, each optional, upper bounds) keeps the first n
    images of a split. All splits, the test one included, are in a fixed stratified order and not
    the official one, so that the first n are a fair sample. What cannot be had is a `UserError`.
    """
    spec_of(name)
    readers = {
        "digits": digits,
        "cifar10": lambda: cifar10(data_root, cache),
        "svhn": lambda: svhn(data_root, cache),
    }
    return from_arrays(name, *readers[name](), limits=limits)
