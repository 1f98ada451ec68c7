"""scikit-learn's digits: 1,797 images of 8×8, inside the package, so nothing is downloaded."""

import numpy as np
from sklearn.datasets import load_digits

from advprune.data.dataset import stratified_order
from advprune.data.specs import SPECS


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return train images uint8 [1400, 1, 8, 8], train labels, test images [397, …], test labels.

    The set has no official split: the last 397 of its stratified order are the test images. Its
    17 grey levels 0..16 are spread over 0..255.
    """
    raw = load_digits()
    images = np.round(raw.images * 255 / 16).astype(np.uint8)[:, None]
    order = stratified_order(raw.target)
    train, test = np.split(order, [len(order) - SPECS["digits"].test])
    return images[train], raw.target[train], images[test], raw.target[test]
