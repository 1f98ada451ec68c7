"""Training or searching in a lower precision, and answering in float32.

TF32 and bfloat16 make attacks several times faster on a GPU, but round so much that a point beyond
the boundary in them need not be beyond it in float32. So a lower precision only proposes points;
whether a point is misclassified is asked of the same net in float32.

A training may use one throughout, because it promises nothing about single points: `passes`.

PyTorch lets a GPU's convolutions use TF32 unless told otherwise. `arithmetic` tells it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import torch
from torch import Tensor, nn

EXACT = "fp32"


def lower(precision: str, device: torch.device) -> bool:
    """Say whether a precision of `fp32`, `tf32` and `bf16` is lower than float32 on a device.

    TF32 is a mode of GPUs only; on a CPU it is float32.
    """
    return precision == "bf16" or (precision == "tf32" and device.type == "cuda")


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Allow TF32 inside exactly where that is the precision; as before afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


class Bfloat16(nn.Module):
    """A net whose convolutions and matrix products round to bfloat16; its logits are float32."""

    def __init__(self, net: nn.Module) -> None:
        """Take the net; it stays as it is."""
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to logits."""
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.net(x).float()


def lowered(net: nn.Module, precision: str) -> nn.Module:
    """Return the net as a search in a precision asks it, within `arithmetic` of the same one."""
    return Bfloat16(net) if precision == "bf16" else net


@contextmanager
def passes(net: nn.Module, precision: str) -> Iterator[None]:
    """Compute a net's forward and backward passes in a precision inside; as before afterwards.

    In `bf16` convolutions and matrix products round their operands. Weights, their gradients,
    running statistics, what the net returns and so every loss of it stay float32, and so do masks
    and scores, which are no such product. The net itself is used: whoever holds it, an attack or a
    hook, gets the same arithmetic. Parts of it that are called by themselves do not.
    """
    with arithmetic(precision):
        if precision != "bf16":
            yield
            return
        # bound to the net, so that a copy made inside is bound to the copy
        net.forward = MethodType(_in_bfloat16, net)
        try:
            yield
        finally:
            del net.forward


def _in_bfloat16(net: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16):
        logits: Tensor = type(net).forward(net, x)
    return logits.float()
