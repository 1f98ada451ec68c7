"""What is known of a dataset before it is read. The workflow plans with it, without torch.

Each dataset is one module of `data/sets`, loaded by its name, with

    SPEC: Spec
    read(root: Path | None, cache: Path) -> Arrays | NumberedArrays

so that what belongs to one dataset concerns the jobs of that dataset alone.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from advprune.base.errors import UserError
from advprune.base.imports import modules_in

# train images uint8 [N, C, H, W], train labels int [N] in 0..classes-1, test images, test labels
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
# the same, and each test image's official index, int [N], where the source has no test set of its
# own whose order the test images are in
NumberedArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Spec:
    """What is known of a dataset before it is read.

    `name` is that of its module; `shape` is (channels, height, width); `train`, `val` and `test`
    count images, of which `val` are taken from the official training set; `pad` is the zero
    padding of the random crop in pixels; `flip` says whether mirroring keeps the label. `files` are
    the official files below `data_root` and their MD5, none of a dataset that needs no folder.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    val: int
    test: int
    pad: int
    flip: bool
    files: tuple[tuple[str, str], ...] = ()


def known() -> list[str]:
    """Names of all datasets, sorted."""
    return modules_in("data.sets")


def module_of(name: str) -> ModuleType:
    """Module of a dataset; an unknown name is a `UserError` that lists the known ones."""
    if name not in known():
        raise UserError(f"unknown dataset '{name}' (known: {', '.join(known())})")
    return importlib.import_module(f"advprune.data.sets.{name}")


def spec_of(name: str) -> Spec:
    """What is known of a dataset; an unknown name is a `UserError` that lists the known ones."""
    return module_of(name).SPEC
