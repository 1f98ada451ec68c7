"""CIFAR-10 (Krizhevsky 2009): photographs of ten kinds of things."""

from pathlib import Path

from advprune.data.specs import Arrays, Spec

SPEC = Spec("cifar10", (3, 32, 32), 10, train=49_000, val=1_000, test=10_000, pad=4, flip=True)


def read(root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [50000, 3, 32, 32], train labels, test images [10000, …], labels.

    Read from `root` without the network if given, otherwise downloaded into `cache`.
    """
    from advprune.data.torchvision_files import cifar  # here: who plans reads SPEC without torch

    return cifar("CIFAR10", SPEC.name, root, cache)
