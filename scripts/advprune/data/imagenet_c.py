"""Common corruptions: noise, blur, weather and digital artefacts in five severities.

Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", as the library imagecorruptions has them, with the severities of ImageNet-C. These
are made for 224 pixels and leave nothing of 32. So every pixel becomes a square of 4×4 pixels, the
large image is corrupted, and each square becomes the mean of its pixels: lengths and the deviation
of noise are a quarter, of the order of CIFAR-10-C's. Without a corruption the way there and back
changes nothing. Pixelate and JPEG, whose grids would vanish in the squares, work on the image as
it is, or enlarged to the library's minimum of 32 pixels. (Images of 8 pixels have too few for
Pixelate: severities 2 and 5, a half and a quarter of 32, leave them as they are.)

So the severities are not those of CIFAR-10-C: accuracies here compare models with each other, not
with numbers published for that set.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from imagecorruptions import corrupt, get_corruption_names
from torch import Tensor
from torch.nn import functional as F

from advprune.base.seeds import derive

SEVERITIES = (1, 2, 3, 4, 5)
ENLARGED = 4
SMALLEST = 32  # pixels, of what the library takes
AS_IT_IS = ("pixelate", "jpeg_compression")
# these take their randomness from outside numpy's global state
SEEDED = ("impulse_noise", "glass_blur")


def names(family: str) -> list[str]:
    """Corruptions of a family: noise, blur, weather or digital."""
    return get_corruption_names(family)


def corrupted(images: Tensor, dataset: str, corruption: str, severity: int) -> Tensor:
    """Corrupt uint8 images [N, C, H, W] of one or three channels; the same shape.

    An image's corruption depends on the dataset's name, the corruption, the severity and its
    place among the images, and on nothing else.
    """
    factor = _factor(corruption, images.shape[-1])
    found = []
    for index, image in enumerate(images):
        seed = derive(0, "corruptions", dataset, corruption, severity, index) % 2**32
        large = image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        more = {"seed": seed} if corruption in SEEDED else {}
        with _seeded(seed):
            # a grey image comes back in three channels; one of them keeps the noise as it is
            array = corrupt(large.permute(1, 2, 0).numpy(), severity, corruption, **more)
        back = torch.tensor(array).permute(2, 0, 1)
        found.append(back if len(image) == 3 else back[1:2])
    return F.avg_pool2d(torch.stack(found).float(), factor).round().to(torch.uint8)


def _factor(corruption: str, side: int) -> int:
    """How many times an image of this side is enlarged."""
    least = -(-SMALLEST // side)
    return least if corruption in AS_IT_IS else max(least, ENLARGED)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
