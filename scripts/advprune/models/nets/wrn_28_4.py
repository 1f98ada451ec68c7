"""WRN-28-4 (Zagoruyko & Komodakis 2016): 28 convolutions, mostly in pre-activation blocks."""

import torch
from torch import nn
from torch.nn import functional as F

from advprune.models.blocks import Residual, conv3x3, strides

_BLOCKS = 4  # of two convolutions in each of three groups; with the stem and 3 shortcuts 28
_FACTOR = 4  # channels of the first group over those of the stem


def build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module:
    """Return the net, which shows its images to `normalize` first."""
    return WideResNet(normalize, width, classes, channels, size)


class PreActBlock(Residual):
    """BatchNorm, ReLU, convolution, twice; the sum is neither normalised nor rectified.

    Where the shape changes, the shortcut is a 1×1 convolution of the rectified input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Map `inputs` channels to `outputs`, and the side to side / stride."""
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential()
        if self.changes:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H/stride, W/stride]."""
        out = F.relu(self.bn1(x))
        made = self.conv2(F.relu(self.bn2(self.conv1(out))))
        return made + (self.shortcut(out) if self.changes else x)


class WideResNet(nn.Module):
    """Three groups of four blocks, `width` to 4·`width` channels: 5,849,050 parameters at 64.

    The stem has a quarter of `width`, at least one channel: 16 in the paper.
    """

    def __init__(
        self, normalize: nn.Module, width: int, classes: int, channels: int, size: int
    ) -> None:
        """Build for images of `channels` channels and `size`×`size` pixels."""
        super().__init__()
        first, second, third = strides(size, stages=3)
        stem = max(1, width // _FACTOR)
        self.normalize = normalize
        self.conv1 = conv3x3(channels, stem)
        self.layer1 = _group(stem, width, first)
        self.layer2 = _group(width, 2 * width, second)
        self.layer3 = _group(2 * width, 4 * width, third)
        self.bn = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, H, W], to logits [N, classes]."""
        out = self.conv1(self.normalize(x))
        out = F.relu(self.bn(self.layer3(self.layer2(self.layer1(out)))))
        return self.fc(out.mean((2, 3)))


def _group(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    later = [PreActBlock(outputs, outputs, 1) for _ in range(_BLOCKS - 1)]
    return nn.Sequential(PreActBlock(inputs, outputs, stride), *later)
