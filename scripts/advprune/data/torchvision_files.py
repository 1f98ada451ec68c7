"""The official files of datasets, read (and downloaded, and checked by MD5) by torchvision."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from torchvision import datasets

from advprune.base.errors import UserError
from advprune.data.specs import Arrays


def cifar(kind: str, name: str, root: Path | None, cache: Path) -> Arrays:
    """Arrays of torchvision's class `kind`, CIFAR10 or one that keeps its images as that does."""
    source = getattr(datasets, kind)

    def read(folder: Path, download: bool) -> Arrays:
        parts = [source(folder, train=train, download=download) for train in (True, False)]
        (train_x, train_y), (test_x, test_y) = (
            (part.data.transpose(0, 3, 1, 2), np.asarray(part.targets)) for part in parts
        )
        return train_x, train_y, test_x, test_y

    return obtain(name, f"{source.base_folder}/", read, root, cache)


def obtain(
    name: str, files: str, read: Callable[[Path, bool], Arrays], root: Path | None, cache: Path
) -> Arrays:
    """Read from `root`, or download into `cache`; a failure is one line that says what to do.

    `read(folder, download)` gives the arrays; `files` tells a reader of the line what is wanted.
    """
    if root is not None:
        try:
            return read(Path(root), False)
        except (RuntimeError, OSError):
            raise UserError(
                f"{name}: data_root {root} does not hold the official {files} "
                "(missing, or another checksum)"
            ) from None
    try:
        with _alone(Path(cache)):
            return read(Path(cache), True)
    except (RuntimeError, OSError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name}: could not be downloaded into {cache} ({reason}); "
            f"set data_root to a folder that holds {files}"
        ) from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time download into a folder; the next one finds the files there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        with contextlib.suppress(OSError):  # file systems without locks are no reason to end
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
