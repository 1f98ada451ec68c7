"""scikit-learn's digits: 1,797 images of 8×8, inside the package, so nothing is downloaded."""

from pathlib import Path

import numpy as np

from advprune.data.order import stratified_order
from advprune.data.specs import NumberedArrays, Spec

SPEC = Spec("digits", (1, 8, 8), 10, train=1_300, val=100, test=397, pad=0, flip=False)


def read(root: Path | None, cache: Path) -> NumberedArrays:
    """Return train images uint8 [1400, 1, 8, 8], train labels, test images [397, …], test labels.

    The set has no official split: the last 397 of its stratified order are the test images, and
    what is returned last are their indexes in scikit-learn's arrays. Its 17 grey levels 0..16 are
    spread over 0..255.
    """
    from sklearn.datasets import load_digits  # here: who plans reads SPEC and has no scikit-learn

    raw = load_digits()
    images = np.round(raw.images * 255 / 16).astype(np.uint8)[:, None]
    order = stratified_order(raw.target)
    train, test = np.split(order, [len(order) - SPEC.test])
    return images[train], raw.target[train], images[test], raw.target[test], test
