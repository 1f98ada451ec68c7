"""VGG16 with batch normalisation for small images (Simonyan & Zisserman 2015, configuration D)."""

import torch
from torch import nn

# Channels of the thirteen convolutions in units of `width`, by stage.
_STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


def build(normalize: nn.Module, *, width: int, classes: int, channels: int, size: int) -> nn.Module:
    """Return the net, which shows its images to `normalize` first."""
    return VGG16(normalize, width, classes, channels, size)


class VGG16(nn.Module):
    """Thirteen convolutions and a three-layer head: 15,311,818 parameters at width 64.

    The map is halved after a stage only while at least 2×2 is left (four times from 32×32, twice
    from 8×8) and ends at 2×2, so the head is the same, 32·width - 4·width - 4·width - classes
    (2048-256-256-10 at width 64), for every image size.
    """

    def __init__(
        self, normalize: nn.Module, width: int, classes: int, channels: int, size: int
    ) -> None:
        """Build for images of `channels` channels and `size`×`size` pixels."""
        super().__init__()
        self.normalize = normalize
        self.features = _features(channels, width, size)
        self.classifier = nn.Sequential(
            nn.Linear(32 * width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, size, size], to logits [N, classes]."""
        return self.classifier(self.features(self.normalize(x)).flatten(1))


def _features(channels: int, width: int, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for stage in _STAGES:
        for units in stage:
            outputs = units * width
            conv = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU()]
            channels = outputs
        if size >= 4:
            layers.append(nn.MaxPool2d(2))
            size //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2))
