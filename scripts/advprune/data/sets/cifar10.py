"""CIFAR-10 (Krizhevsky 2009): photographs of ten kinds of things."""

from pathlib import Path

from advprune.data.specs import Arrays, Spec

FILES = (
    ("cifar-10-batches-py/data_batch_1", "c99cafc152244af753f735de768cd75f"),
    ("cifar-10-batches-py/data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
    ("cifar-10-batches-py/data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
    ("cifar-10-batches-py/data_batch_4", "634d18415352ddfa80567beed471001a"),
    ("cifar-10-batches-py/data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
    ("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e"),
    ("cifar-10-batches-py/batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
)
SIZES = {"train": 49_000, "val": 1_000, "test": 10_000}
SPEC = Spec("cifar10", (3, 32, 32), 10, **SIZES, pad=4, flip=True, files=FILES)


def read(root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [50000, 3, 32, 32], train labels, test images [10000, …], labels.

    Read from `root` without the network if given, otherwise downloaded into `cache`.
    """
    from advprune.data.torchvision_files import cifar  # here: who plans reads SPEC without torch

    return cifar("CIFAR10", SPEC.name, root, cache)
