"""The steps of a compact net: linear maps with constant weights, fused with what follows them.

Maps are channels_last, so that convolutions need not rearrange them. Values on small maps are
*flat*, [N, H * W * C] with the channels innermost: the same order in memory.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Step(NamedTuple):
    """Run `layer` on the value number `source`, and `other` if any; number the result `target`."""

    layer: nn.Module
    source: int
    other: int | None
    target: int


class Compact(nn.Module):
    """A straight list of steps. Value 0 is the image, the last step's are the logits."""

    def __init__(self, steps: list[Step]) -> None:
        """Take over the steps."""
        super().__init__()
        self.layers = nn.ModuleList(step.layer for step in steps)
        self.plan = [step[1:] for step in steps]

    def forward(self, x: Tensor) -> Tensor:
        """Map images in [0, 1], [N, C, H, W], to logits [N, classes]."""
        values = [x.contiguous(memory_format=torch.channels_last)]
        for layer, (source, other, _) in zip(self.layers, self.plan, strict=True):
            # not layer(...): the bookkeeping of nn.Module costs as much as a small layer
            if other is None:
                values.append(layer.forward(values[source]))
            else:
                values.append(layer.forward(values[source], values[other]))
        return values[-1]


class Linear(nn.Module):
    """A linear map, then perhaps the sum with another value, then perhaps ReLU."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, relu: bool) -> None:
        """Keep weight and bias as constants in single precision."""
        super().__init__()
        self.register_buffer("weight", weight.float().contiguous())
        self.register_buffer("bias", bias.float().contiguous())
        self.relu = relu

    def finish(self, out: Tensor, other: Tensor | None) -> Tensor:
        """Add and rectify in place, which no gradient minds: `out` is nobody else's input yet."""
        if other is not None:
            out = out.add_(other)
        return out.relu_() if self.relu else out


class Conv(Linear):
    """Convolution with a bias [C] or, where it differs between pixels, a bias map [1, C, H, W]."""

    def __init__(self, weight: Tensor, bias: Tensor, conv: nn.Conv2d, relu: bool) -> None:
        """Take the bias as a map; geometry is that of `conv`."""
        uniform = bool((bias == bias[..., :1, :1]).all())
        super().__init__(weight, bias[0, :, 0, 0] if uniform else bias, relu)
        self.weight = self.weight.contiguous(memory_format=torch.channels_last)
        self.uniform = uniform
        self.stride, self.padding, self.dilation = conv.stride, conv.padding, conv.dilation

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Map [N, C, H, W] to [N, C', H', W']."""
        if self.uniform:
            out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)
        else:
            out = F.conv2d(x, self.weight, None, self.stride, self.padding, self.dilation)
            out = out.add_(self.bias)
        return self.finish(out, other)


class Matrix(Linear):
    """A linear map of a whole value, [inputs, outputs], to flat values."""

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Map a map or a flat value to a flat value."""
        out = torch.addmm(self.bias, flat(x), self.weight)
        return self.finish(out, None if other is None else flat(other))


def flat(x: Tensor) -> Tensor:
    """A map [N, C, H, W] as [N, H * W * C]; a flat value as it is."""
    return x if x.ndim == 2 else x.permute(0, 2, 3, 1).flatten(1)


class Map(nn.Module):
    """A flat value as the map it stands for."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Take the map's channels, height and width."""
        super().__init__()
        self.channels, self.size = shape[0], shape[1:]

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, H * W * C] to [N, C, H, W]."""
        return x.view(-1, *self.size, self.channels).permute(0, 3, 1, 2)


class Affine(nn.Module):
    """Scale and shift of each channel, from channels of a wider map, then perhaps ReLU."""

    pick: Tensor | None
    scale: Tensor
    shift: Tensor

    def __init__(self, pick: Tensor | None, scale: Tensor, shift: Tensor, relu: bool) -> None:
        """Take scale [C] and shift [1, C, H, W] of the channels `pick`, None for all in order."""
        super().__init__()
        uniform = bool((shift == shift[..., :1, :1]).all())
        self.register_buffer("pick", pick)
        self.register_buffer("scale", scale.float().view(1, -1, 1, 1))
        shift = (shift[..., :1, :1] if uniform else shift).float()
        self.register_buffer("shift", shift.contiguous(memory_format=torch.channels_last))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C', H, W] to [N, C, H, W]."""
        if self.pick is not None:
            # along the innermost dimension, so that the map stays channels_last
            x = x.permute(0, 2, 3, 1).index_select(3, self.pick).permute(0, 3, 1, 2)
        out = torch.addcmul(self.shift, x, self.scale)
        return out.relu_() if self.relu else out


class Shift(nn.Module):
    """The mean of the normalisation; its deviation is in the weights of what reads it."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        """Take the mean of each channel, [1, C, 1, 1]."""
        super().__init__()
        self.register_buffer("mean", mean.float())

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        return x - self.mean


class Apply(nn.Module):
    """An operation without weights."""

    def __init__(self, operation: Callable[..., Tensor]) -> None:
        """Take a function of one or two values."""
        super().__init__()
        self.operation = operation

    def forward(self, *values: Tensor) -> Tensor:
        """Apply it."""
        return self.operation(*values)
