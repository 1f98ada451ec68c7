"""Parts that nets share."""

from torch import nn


class Residual(nn.Module):
    """Marks a block that adds its input, or a shortcut of it, to what its layers make of it.

    Methods that go through a net block by block look for this class.
    """


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution without bias: [N, inputs, H, W] to [N, outputs, H/stride, …]."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
