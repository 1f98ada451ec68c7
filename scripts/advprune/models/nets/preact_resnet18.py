"""Pre-activation ResNet-18 for small images (He et al. 2016b, with a 3×3 stem of stride 1).

The usual net of fast adversarial training, and of the released RobustBird and FlyingBird.
"""

import torch
from torch import nn
from torch.nn import functional as F

from advprune.models.blocks import conv3x3, strides
from advprune.models.preact import stage


def build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module:
    """Return the net, which shows its images to `normalize` first."""
    return PreActResNet18(normalize, width, classes, channels, size)


class PreActResNet18(nn.Module):
    """Four stages of two blocks, `width` to 8·`width` channels: 11,172,170 parameters at 64.

    No BatchNorm follows the stem or stands in a shortcut; one follows the last block. The map is
    halved three times from 32×32 and twice from 8×8: at least 2×2 is left (`strides`).
    """

    def __init__(
        self, normalize: nn.Module, width: int, classes: int, channels: int, size: int
    ) -> None:
        """Build for images of `channels` channels and `size`×`size` pixels."""
        super().__init__()
        first, second, third, fourth = strides(size, stages=4)
        self.normalize = normalize
        self.conv1 = conv3x3(channels, width)
        self.layer1 = stage(width, width, first, blocks=2)
        self.layer2 = stage(width, 2 * width, second, blocks=2)
        self.layer3 = stage(2 * width, 4 * width, third, blocks=2)
        self.layer4 = stage(4 * width, 8 * width, fourth, blocks=2)
        self.bn = nn.BatchNorm2d(8 * width)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, H, W], to logits [N, classes]."""
        out = self.layer1(self.conv1(self.normalize(x)))
        out = F.relu(self.bn(self.layer4(self.layer3(self.layer2(out)))))
        return self.fc(out.mean((2, 3)))
