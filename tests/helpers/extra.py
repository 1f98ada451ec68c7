"""Files of extra images for tests."""

from pathlib import Path

import numpy as np


def write(path: Path, n: int = 20, shape=(8, 8, 1), classes: int = 10, **changes) -> Path:
    """Write n images, uint8 [n, *shape], with labels in turn; `changes` replace an array or, with
    None, leave it out."""
    images = np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)
    arrays = {"image": images, "label": np.arange(n) % classes} | changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path
