"""The first module of every net: attacks and data work in [0,1], the net normalises."""

from collections.abc import Sequence

import torch
from torch import nn


class Normalize(nn.Module):
    """Subtract the mean and divide by the deviation of each channel."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Keep mean and std, one number per channel, as buffers [1, C, 1, 1]."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, H, W], to zero mean and unit deviation."""
        return (x - self.mean) / self.std
