"""CIFAR-100 (Krizhevsky 2009): photographs of a hundred kinds of things, by their fine labels."""

from pathlib import Path

from advprune.data.specs import Arrays, Spec

FILES = (
    ("cifar-100-python/train", "16019d7e3df5f24257cddd939b257f8d"),
    ("cifar-100-python/test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    ("cifar-100-python/meta", "7973b15100ade9c7d40fb424638fde48"),
)
SIZES = {"train": 49_000, "val": 1_000, "test": 10_000}
SPEC = Spec("cifar100", (3, 32, 32), 100, **SIZES, pad=4, flip=True, files=FILES)


def read(root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [50000, 3, 32, 32], train labels, test images [10000, …], labels.

    Read from `root` without the network if given, otherwise downloaded into `cache`.
    """
    from advprune.data.torchvision_files import cifar  # here: who plans reads SPEC without torch

    return cifar("CIFAR100", SPEC.name, root, cache)
