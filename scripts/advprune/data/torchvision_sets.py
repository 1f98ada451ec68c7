"""CIFAR-10 and SVHN, read (and downloaded, and checked by MD5) by torchvision."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from torchvision import datasets

from advprune.base.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
T = TypeVar("T")


def cifar10(data_root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [50000, 3, 32, 32], train labels, test images [10000, …], labels.

    Read from `data_root` without the network if given, otherwise downloaded into `cache`.
    """

    def read(root: Path, download: bool) -> Arrays:
        parts = [datasets.CIFAR10(root, train=train, download=download) for train in (True, False)]
        (train_x, train_y), (test_x, test_y) = (
            (part.data.transpose(0, 3, 1, 2), np.asarray(part.targets)) for part in parts
        )
        return train_x, train_y, test_x, test_y

    return _obtain("cifar10", "cifar-10-batches-py/", read, data_root, cache)


def svhn(data_root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [73257, 3, 32, 32], train labels, test images [26032, …], labels.

    The cropped digits (Netzer et al. 2011), official train and test sets, without the extra one.
    The files' label 10 is the digit 0. Read from `data_root` without the network if given,
    otherwise downloaded into `cache`.
    """

    def read(root: Path, download: bool) -> Arrays:
        train, test = (datasets.SVHN(root, part, download=download) for part in ("train", "test"))
        return train.data, train.labels, test.data, test.labels

    return _obtain("svhn", "train_32x32.mat and test_32x32.mat", read, data_root, cache)


def _obtain(
    name: str, files: str, read: Callable[[Path, bool], T], data_root: Path | None, cache: Path
) -> T:
    """Read from `data_root` or download; any failure becomes one line that says what to do."""
    if data_root is not None:
        try:
            return read(Path(data_root), False)
        except (RuntimeError, OSError):
            raise UserError(
                f"{name}: data_root {data_root} does not hold the official {files} "
                "(missing, or another checksum)"
            ) from None
    try:
        return read(Path(cache), True)
    except (RuntimeError, OSError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name}: could not be downloaded into {cache} ({reason}); "
            f"set data_root to a folder that holds {files}"
        ) from None
