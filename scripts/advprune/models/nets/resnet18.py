"""ResNet-18 for small images (He et al. 2016, with a 3×3 stem of stride 1 and no stem pooling)."""

import torch
from torch import nn
from torch.nn import functional as F

from advprune.models.blocks import Residual, conv3x3, strides


class BasicBlock(Residual):
    """Two convolutions and a shortcut, which is a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Map `inputs` channels to `outputs`, and the side to side / stride."""
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H/stride, W/stride]."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


def build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module:
    """Return the net, which shows its images to `normalize` first."""
    return ResNet18(normalize, width, classes, channels, size)


class ResNet18(nn.Module):
    """Four stages of two blocks, `width` to 8·`width` channels: 11,173,962 parameters at 64.

    The map is halved three times from 32×32 and twice from 8×8: at least 2×2 is left (`strides`).
    """

    def __init__(
        self, normalize: nn.Module, width: int, classes: int, channels: int, size: int
    ) -> None:
        """Build for images of `channels` channels and `size`×`size` pixels."""
        super().__init__()
        first, second, third, fourth = strides(size, stages=4)
        self.normalize = normalize
        self.conv1 = conv3x3(channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, first)
        self.layer2 = _stage(width, 2 * width, second)
        self.layer3 = _stage(2 * width, 4 * width, third)
        self.layer4 = _stage(4 * width, 8 * width, fourth)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, H, W], to logits [N, classes]."""
        out = F.relu(self.bn1(self.conv1(self.normalize(x))))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        return self.fc(out.mean((2, 3)))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))
