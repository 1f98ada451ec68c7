"""Kronecker factors of the loss's curvature, layer by layer (K-FAC, Martens & Grosse 2015).

For a layer with weight matrix W [O, I], the block of the Fisher matrix is approximated by G ⊗ A: A
from the layer's inputs, G from the loss's gradient at its outputs. Convolutions are matrices on the
patches they read; the product of the factors is that of Grosse & Martens (2016), inputs averaged
over the S output positions and gradients summed. A bias is a last input that is always one.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.base.errors import UserError

Factors = tuple[Tensor, Tensor]


def patches(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What each output position reads: [B, S, I], S = 1 for linear layers; ones last for a bias.

    Grouped convolutions, whose matrix has a block for each group, and paddings other than so many
    zeros are a UserError.
    """
    if isinstance(layer, nn.Conv2d):
        kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
        if isinstance(padding, str) or layer.padding_mode != "zeros" or layer.groups > 1:
            raise UserError(f"K-FAC reads whole convolutions padded by zeros in numbers: {layer}")
        read = F.unfold(inputs, kernel, layer.dilation, padding, stride).transpose(1, 2)
    else:
        read = inputs[:, None]
    if layer.bias is None:
        return read
    return torch.cat([read, torch.ones_like(read[..., :1])], dim=2)


def input_factor(layer: nn.Module, inputs: Tensor) -> Tensor:
    """A [I, I]: mean over the batch of the products of patches, each divided by S."""
    read = patches(layer, inputs)
    flat = read.flatten(0, 1) / read.shape[1]
    return flat.T @ flat / len(inputs)


def output_diagonal(gradient: Tensor) -> Tensor:
    """Diagonal of G [O]: B · S · Σ g² of the gradient of the batch's mean loss, [B, O, …]."""
    spread = gradient.flatten(2) if gradient.dim() > 2 else gradient[..., None]
    batch, _, positions = spread.shape
    return batch * positions * spread.square().sum((0, 2))


def factors(
    net: nn.Module, layers: Mapping[str, nn.Module], x: Tensor, y: Tensor
) -> Iterator[tuple[str, Factors]]:
    """(layer name, (A, diagonal of G)) for a batch, with the true labels: the empirical Fisher.

    The net is used in the mode it is in. Factors are made one layer at a time, because A of a wide
    convolution is large.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Callable:
        return lambda module, given, made: seen.__setitem__(name, (given[0].detach(), made))

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        with torch.enable_grad():
            # so that outputs have gradients even where no parameter asks for one
            loss = F.cross_entropy(net(x.detach().requires_grad_()), y)
    finally:
        for handle in handles:
            handle.remove()
    gradients = torch.autograd.grad(loss, [made for _, made in seen.values()])
    for (name, (given, _)), gradient in zip(seen.items(), gradients, strict=True):
        yield name, (input_factor(layers[name], given), output_diagonal(gradient))


def quadratic(step: Tensor, pair: Factors) -> Tensor:
    """½ · diag(G) · step · (step A): each entry's share of ½ stepᵀ H step, for a step [O, I].

    Shares may be negative; those of a row never sum to less than zero.
    """
    inputs, outputs = pair
    return 0.5 * outputs[:, None] * step * (step @ inputs)
