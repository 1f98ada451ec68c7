"""Parts that nets share."""

from torch import nn


class Residual(nn.Module):
    """Marks a block that adds its input, or a shortcut of it, to what its layers make of it.

    Methods that go through a net block by block look for this class.
    """


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution without bias: [N, inputs, H, W] to [N, outputs, H/stride, …]."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def strides(size: int, stages: int) -> list[int]:
    """Strides of stages of which all but the first halve the map, while at least 2×2 is left.

    On a 1×1 map a padded 3×3 kernel meets nothing but padding in eight of its nine places, so that
    most weights could never act. `size` is the side of the images in pixels.
    """
    found = [1]
    while len(found) < stages:
        found.append(2 if size >= 4 else 1)
        size //= found[-1]
    return found
