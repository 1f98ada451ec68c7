"""WRN-28-4 (Zagoruyko & Komodakis 2016): 28 convolutions, mostly in pre-activation blocks."""

from torch import nn

from advprune.models.preact import WideResNet


def build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module:
    """Return the net, which shows its images to `normalize` first.

    5,849,050 parameters at width 64, the channels of the first group in the paper.
    """
    return WideResNet(normalize, 4, width, classes, channels, size)
