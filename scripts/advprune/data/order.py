"""The order of a dataset's images. Without torch, because the datasets' modules use it."""

import numpy as np

_SEED = 20240901  # fixes which images are validated on, everywhere and for good


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """Return a fixed random order, int64 [N], every stretch of which has the shares of the whole.

    The k-th of a class's n_c images (shuffled) gets a random place in [k, k+1) / n_c and all are
    sorted by place. Raw PCG64 output is used because numpy promises that stream, not the stream
    of its samplers, to stay the same between versions.
    """
    bits = np.random.PCG64(_SEED)
    shuffle = np.argsort(bits.random_raw(len(labels)), kind="stable")
    jitter = (bits.random_raw(len(labels)) >> np.uint64(11)) * 2.0**-53
    place = np.empty(len(labels))
    for c in np.unique(labels):
        members = shuffle[labels[shuffle] == c]
        place[members] = (np.arange(len(members)) + jitter[members]) / len(members)
    return np.argsort(place, kind="stable")
