"""CIFAR-100 (Krizhevsky 2009): photographs of a hundred kinds of things, by their fine labels."""

from pathlib import Path

from advprune.data.specs import Arrays, Spec

SPEC = Spec("cifar100", (3, 32, 32), 100, train=49_000, val=1_000, test=10_000, pad=4, flip=True)


def read(root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [50000, 3, 32, 32], train labels, test images [10000, …], labels.

    Read from `root` without the network if given, otherwise downloaded into `cache`.
    """
    from advprune.data.torchvision_files import cifar  # here: who plans reads SPEC without torch

    return cifar("CIFAR100", SPEC.name, root, cache)
