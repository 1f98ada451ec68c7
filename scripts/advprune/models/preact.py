"""Pre-activation blocks (He et al. 2016b), and the wide residual nets that are made of them."""

import torch
from torch import nn
from torch.nn import functional as F

from advprune.models.blocks import Residual, conv3x3, strides


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


def stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    """Return blocks in a row, of which the first changes channels and side."""
    later = [PreActBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(PreActBlock(inputs, outputs, stride), *later)


class WideResNet(nn.Module):
    """WRN-28-`factor` (Zagoruyko & Komodakis 2016): three groups of four blocks.

    Two convolutions a block, the stem and three shortcuts are 28. The groups have `width` to
    4·`width` channels, the stem `width` / `factor` rounded down, at least one: 16 in the paper.
    """

    def __init__(
        self, normalize: nn.Module, factor: int, width: int, classes: int, channels: int, size: int
    ) -> None:
        """Build for images of `channels` channels and `size`×`size` pixels."""
        super().__init__()
        first, second, third = strides(size, stages=3)
        stem = max(1, width // factor)
        self.normalize = normalize
        self.conv1 = conv3x3(channels, stem)
        self.layer1 = stage(stem, width, first, blocks=4)
        self.layer2 = stage(width, 2 * width, second, blocks=4)
        self.layer3 = stage(2 * width, 4 * width, third, blocks=4)
        self.bn = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, H, W], to logits [N, classes]."""
        out = self.conv1(self.normalize(x))
        out = F.relu(self.bn(self.layer3(self.layer2(self.layer1(out)))))
        return self.fc(out.mean((2, 3)))
