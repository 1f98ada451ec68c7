"""Masks: which weights stay. Chosen by rank, never by a threshold, so that every count is exact.

A mask set is a dict from parameter name to a boolean tensor of the parameter's shape, True where
the entry stays. It usually names convolution and linear weights; for removed filters it also names
the BatchNorm scale and shift, because a zeroed filter would otherwise still emit its shift.

Scores are dicts from layer name to a tensor with one entry per *unit*: the weight's own shape for
`unstructured`, one entry per output filter for `filters`, one per input channel for `channels`, and
[filters, input channels] for `kernels`.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from advprune.models.graph import companions

Masks = dict[str, Tensor]
Scores = dict[str, Tensor]
STRUCTURES = ("unstructured", "filters", "channels", "kernels")


def prunable(net: nn.Module, structure: str) -> dict[str, nn.Module]:
    """Layers whose units can be removed, in module order.

    Unstructured: every convolution and linear layer. Filters: every convolution. Channels: every
    convolution and linear layer but the first, whose inputs are the image's own colours. Kernels:
    every convolution but the first that is larger than 1×1, where a kernel is more than a weight.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    if structure == "filters":
        return {n: m for n, m in layers.items() if isinstance(m, nn.Conv2d)}
    if structure == "channels":
        return dict(list(layers.items())[1:])
    if structure == "kernels":
        convs = [(n, m) for n, m in layers.items() if isinstance(m, nn.Conv2d)]
        return {n: m for n, m in convs[1:] if m.kernel_size != (1, 1)}
    return layers


def weights(net: nn.Module, structure: str = "unstructured") -> dict[str, Tensor]:
    """Detached weights of the prunable layers by layer name."""
    return {name: layer.weight.detach() for name, layer in prunable(net, structure).items()}


def removed_count(units: int, sparsity: float) -> int:
    """Units to remove: floor(sparsity · units), immune to the last bit of the float product."""
    return math.floor(round(sparsity * units, 6))


def kept_count(units: int, sparsity: float) -> int:
    """Units that stay: units − floor(sparsity · units)."""
    return units - removed_count(units, sparsity)


def top_k(scores: Tensor, keep: int) -> Tensor:
    """Mask of the `keep` largest scores; among equal scores the earlier position wins.

    Not-a-number counts as the smallest, so that a failed score never keeps a weight.
    """
    flat = scores.detach().flatten().nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    order = flat.argsort(descending=True, stable=True)
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[order[:keep]] = True
    return mask.view(scores.shape)


def rank(
    scores: Scores,
    sparsity: float | Mapping[str, float],
    scope: str = "layer",
    floor: int = 0,
) -> Masks:
    """Unit masks that remove exactly the sparsity, lowest scores first.

    `scope` "layer" ranks within each layer (`sparsity` may then differ by layer name), "global"
    ranks all layers together. At least `floor` units stay in every layer; with the global scope
    the total stays exact all the same.
    """
    if scope == "layer":
        rates = sparsity if isinstance(sparsity, Mapping) else dict.fromkeys(scores, sparsity)
        return {n: top_k(s, max(kept_count(s.numel(), rates[n]), floor)) for n, s in scores.items()}
    if scope != "global":
        raise ValueError(f"unknown scope {scope!r}")
    pooled = []
    for layer in scores.values():
        flat = layer.detach().flatten().double()
        # the best `floor` units of a layer come before everything else
        flat = flat.masked_fill(top_k(flat, floor), math.inf) if floor else flat
        pooled.append(flat)
    joined = top_k(torch.cat(pooled), kept_count(sum(f.numel() for f in pooled), sparsity))
    parts = joined.split([f.numel() for f in pooled])
    return {n: part.view(s.shape) for (n, s), part in zip(scores.items(), parts, strict=True)}


def unit_norms(weight: Tensor, structure: str, order: float = 2) -> Tensor:
    """Magnitude of every unit: |w|, or the `order`-norm of each filter, input channel or kernel."""
    if structure == "unstructured":
        return weight.abs()
    if structure == "kernels":
        return torch.linalg.vector_norm(weight.flatten(2), ord=order, dim=2)
    matrix = weight if structure == "filters" else weight.transpose(0, 1)
    return torch.linalg.vector_norm(matrix.flatten(1), ord=order, dim=1)


def magnitudes(net: nn.Module, structure: str, order: float = 2) -> Scores:
    """Unit magnitudes of all prunable layers: the classical lowest-weight-magnitude score."""
    return {n: unit_norms(w, structure, order) for n, w in weights(net, structure).items()}


def expand(unit_mask: Tensor, weight: Tensor, structure: str) -> Tensor:
    """Weight-shaped mask from a unit mask."""
    if structure == "unstructured":
        return unit_mask
    if structure == "kernels":
        return unit_mask[:, :, None, None].expand_as(weight).clone()
    axis = 0 if structure == "filters" else 1
    shape = [1] * weight.dim()
    shape[axis] = -1
    return unit_mask.view(shape).expand_as(weight).clone()


def weight_masks(net: nn.Module, units: Masks, structure: str) -> Masks:
    """Mask set for the net's parameters from unit masks by layer name.

    Removed filters take scale and shift of their own BatchNorm, or their bias, with them.
    """
    layers = prunable(net, structure)
    masks = {f"{n}.weight": expand(u, layers[n].weight, structure) for n, u in units.items()}
    return masks | closed_batchnorm(net, masks) if structure == "filters" else masks


def closed_batchnorm(net: nn.Module, masks: Masks) -> Masks:
    """Masks of BatchNorm (or of a bias) that silence every filter without a weight left."""
    closed = {}
    for conv, partners in companions(net).items():
        mask = masks.get(f"{conv}.weight")
        if mask is None:
            continue
        alive = mask.flatten(1).any(dim=1)
        if not bool(alive.all()):
            closed |= {name: alive.clone() for name in partners}
    return closed


@torch.no_grad()
def apply(net: nn.Module, masks: Masks) -> None:
    """Set every masked entry of the net's parameters to exactly +0."""
    parameters = dict(net.named_parameters())
    for name, mask in masks.items():
        parameters[name].masked_fill_(~mask, 0.0)


def violations(net: nn.Module, masks: Masks) -> list[str]:
    """Names of parameters that are non-zero where their mask says removed."""
    parameters = dict(net.named_parameters())
    return [n for n, mask in masks.items() if bool(parameters[n].detach()[~mask].ne(0).any())]


def count(masks: Iterable[Tensor]) -> tuple[int, int]:
    """(kept, total) entries of the masks."""
    masks = list(masks)
    return sum(int(m.sum()) for m in masks), sum(m.numel() for m in masks)
