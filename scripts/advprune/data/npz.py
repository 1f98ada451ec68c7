"""Extra images in an .npz file: checked by what little must be read, and read. Without torch.

`image`, uint8 [N, height, width, channels], and `label`, whole numbers [N]: the layout in which
sets of generated or pseudo-labelled images are shared.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from advprune.base.errors import UserError
from advprune.base.first_bytes import recognise

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
Kind = tuple[tuple[int, ...], np.dtype[Any]]


def check(path: Path, shape: Sequence[int], classes: int) -> int:
    """Return how many images there are, of which only the labels are read.

    `shape` is (channels, height, width) of the dataset, whose labels are 0..classes-1. A file that
    is missing, damaged or of other images is a `UserError` of one line that names it.
    """
    with _opened(path) as file:
        (size, images), (labels_size, labels) = (_kind(file, key) for key in ("image", "label"))
        channels, height, width = shape
        wanted = (height, width, channels)
        if images != np.uint8 or len(size) != 4 or size[1:] != wanted or size[0] == 0:
            raise UserError(f"image is {images} {list(size)}, not uint8 {['N', *wanted]}")
        if labels.kind not in "iu" or labels_size != size[:1]:
            found = f"{labels} {list(labels_size)}"
            raise UserError(f"label is {found}, not one whole number for each of {size[0]} images")
        values = _array(file, "label")
        if values.min() < 0 or values.max() >= classes:
            raise UserError(f"labels {values.min()}..{values.max()} are outside 0..{classes - 1}")
    return size[0]


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read images, uint8 [N, height, width, channels], and labels, int64 [N], of a checked file."""
    with _opened(path) as file:
        return _array(file, "image"), _array(file, "label").astype(np.int64)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; whatever is wrong with it inside becomes a line that names the file."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except zipfile.BadZipFile:
        words = recognise(path).words
        raise UserError(f"{path}: damaged or not an .npz file: {words}") from None
    except (zlib.error, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged or not an .npz file ({error})") from None


def _kind(file: zipfile.ZipFile, key: str) -> Kind:
    """Shape and type of an array, from its header."""
    if f"{key}.npy" not in file.namelist():
        found = ", ".join(name.removesuffix(".npy") for name in file.namelist())
        raise UserError(f"lacks '{key}' (it has: {found})")
    with file.open(f"{key}.npy") as array:
        shape, _, kind = _HEADERS[npy.read_magic(array)](array)
    return shape, kind


def _array(file: zipfile.ZipFile, key: str) -> np.ndarray:
    with file.open(f"{key}.npy") as array:
        return npy.read_array(array, allow_pickle=False)
