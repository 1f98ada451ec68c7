"""Small nets and data that tests share."""

import numpy as np
import torch

from advprune.data.dataset import Split
from advprune.models.registry import NetSpec

SMALL = NetSpec("resnet18", 4, classes=3, channels=1, size=8, mean=(0.5,), std=(0.25,))


def blobs(n: int, seed: int = 0) -> Split:
    """Three easy classes: a bright square in one of three places, with noise; uint8 [n,1,8,8]."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    images = torch.randint(0, 60, (n, 1, 8, 8), generator=rng)
    for i, label in enumerate(labels.tolist()):
        images[i, 0, label * 2 : label * 2 + 3, label * 2 : label * 2 + 3] += 180
    return Split(images.to(torch.uint8), labels)


def tiny_images(n: int) -> tuple[np.ndarray, ...]:
    """Images [n, 3, 32, 32] whose first pixel is their number, labels 0..9 in turn; twice."""
    images = np.random.default_rng(n).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    labels = np.arange(n) % 10
    return images, labels, images, labels
