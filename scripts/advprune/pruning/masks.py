"""Masks: which weights stay. Chosen by rank, never by a threshold, so that every count is exact.

Two kinds of dicts of boolean tensors say what stays, True where it does, and neither can stand for
the other:

`Units`  by layer name, one entry per *unit*: the weight's own shape for `unstructured`, [filters],
         [input channels], and [filters, input channels] for `kernels`. What is ranked.
`Masks`  by parameter name, the parameter's shape. What is applied and saved. It usually names
         convolution and linear weights; for removed filters it also names the BatchNorm scale and
         shift, because a zeroed filter would otherwise still emit its shift.

`weight_masks` makes masks of units. Scores are dicts like units, of real numbers.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NewType

import torch
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.models.graph import companions
from advprune.pruning import structures
from advprune.pruning.structures import Layer

Units = NewType("Units", dict[str, Tensor])
Masks = NewType("Masks", dict[str, Tensor])
Scores = dict[str, Tensor]


def prunable(net: nn.Module, structure: str) -> dict[str, Layer]:
    """Layers whose units can be removed, in module order.

    Unstructured: every convolution and linear layer. Filters: every convolution. Channels: every
    convolution and linear layer but the first, whose inputs are the image's own colours. Kernels:
    every convolution but the first that is larger than 1×1, where a kernel is more than a weight.
    """
    return structures.named(structure).layers(net)


def weights(net: nn.Module, structure: str = "unstructured") -> dict[str, Tensor]:
    """Detached weights of the prunable layers by layer name."""
    return {name: layer.weight.detach() for name, layer in prunable(net, structure).items()}


def removed_count(units: int, sparsity: float) -> int:
    """Units to remove: floor(sparsity · units), immune to the last bit of the float product."""
    return math.floor(round(sparsity * units, 6))


def kept_count(units: int, sparsity: float) -> int:
    """Units that stay: units − floor(sparsity · units)."""
    return units - removed_count(units, sparsity)


def check_sparsity(net: nn.Module, structure: str, sparsity: float) -> None:
    """Refuse, as a UserError, a sparsity that leaves less than a unit for each prunable layer.

    Every method keeps one in each, so the net would miss its target or lose a layer. The count is
    exact for this net, and a search can take hours before it comes to that point.
    """
    if sparsity == 0:
        return
    shape = structures.named(structure).shape
    sizes = [shape(weight).numel() for weight in weights(net, structure).values()]
    kept = kept_count(sum(sizes), sparsity)
    if kept < len(sizes):
        raise UserError(
            f"a sparsity of {sparsity:g} leaves {kept} of {sum(sizes)} units ({structure}),"
            f" less than one for each of {len(sizes)} layers"
        )


def top_k(scores: Tensor, keep: int) -> Tensor:
    """Mask of the `keep` largest scores; among equal scores the earlier position wins.

    Not-a-number counts as the smallest, so that a failed score never keeps a weight. A count below
    zero or above that of the scores is a ValueError.
    """
    if not 0 <= keep <= scores.numel():
        raise ValueError(f"cannot keep {keep} of {scores.numel()}")
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
) -> Units:
    """Units that stay when exactly the sparsity is removed, lowest scores first.

    `scope` "layer" ranks within each layer (`sparsity` may then differ by layer name), "global"
    ranks all layers together. At least `floor` units stay in every layer; with the global scope
    the total stays exact all the same, and a sparsity that leaves less is a UserError.
    """
    if scope == "layer":
        rates = sparsity if isinstance(sparsity, Mapping) else dict.fromkeys(scores, sparsity)
        keep = {n: max(kept_count(s.numel(), rates[n]), floor) for n, s in scores.items()}
        return Units({n: top_k(s, keep[n]) for n, s in scores.items()})
    if scope != "global":
        raise ValueError(f"unknown scope {scope!r}")
    if isinstance(sparsity, Mapping):
        raise TypeError("sparsities by layer are ranked within each layer, not over all together")
    pooled = []
    for layer in scores.values():
        flat = layer.detach().flatten().double()
        # the best `floor` units of a layer come before everything else
        flat = flat.masked_fill(top_k(flat, floor), math.inf) if floor else flat
        pooled.append(flat)
    total = sum(f.numel() for f in pooled)
    kept = kept_count(total, sparsity)
    if kept < floor * len(pooled):
        raise UserError(f"cannot keep {kept} of {total} with {floor} in each of {len(pooled)}")
    joined = top_k(torch.cat(pooled), kept)
    parts = joined.split([f.numel() for f in pooled])
    return Units({n: part.view(scores[n].shape) for n, part in zip(scores, parts, strict=True)})


def magnitudes(net: nn.Module, structure: str, order: float = 2) -> Scores:
    """Unit magnitudes of all prunable layers: the classical lowest-weight-magnitude score."""
    norms = structures.named(structure).norms
    return {name: norms(weight, order) for name, weight in weights(net, structure).items()}


def random_scores(net: nn.Module, structure: str, rng: torch.Generator) -> Scores:
    """Scores drawn from [0, 1) for the units of all prunable layers, layer by layer."""
    shape = structures.named(structure).shape
    return {
        name: torch.rand(shape(weight), generator=rng, device=weight.device)
        for name, weight in weights(net, structure).items()
    }


def weight_masks(net: nn.Module, units: Units, structure: str) -> Masks:
    """Mask set for the net's parameters from the units that stay in some of its prunable layers.

    Removed filters take scale and shift of their own BatchNorm, or their bias, with them. A name
    that is no prunable layer and a wrong number of units are a ValueError.
    """
    kind, layers = structures.named(structure), prunable(net, structure)
    _check_names(units, layers, f"layer with {structure}")
    masks = Masks(
        {f"{n}.weight": kind.expand(u, layers[n].weight.detach()) for n, u in units.items()}
    )
    return close_batchnorm(net, masks) if kind.batchnorm else masks


def close_batchnorm(net: nn.Module, masks: Masks) -> Masks:
    """The masks, and those of BatchNorm (or a bias) that silence filters without a weight left."""
    closed: dict[str, Tensor] = {}
    for conv, partners in companions(net).items():
        mask = masks.get(f"{conv}.weight")
        if mask is None:
            continue
        alive = mask.flatten(1).any(dim=1)
        if not bool(alive.all()):
            closed |= {name: alive.clone() for name in partners}
    return Masks(masks | closed)


@torch.no_grad()
def apply(net: nn.Module, masks: Masks) -> None:
    """Set every masked entry of the net's parameters to exactly +0.

    Anything but masks of the net's parameters, units for instance, is a ValueError, and nothing is
    changed.
    """
    parameters = dict(net.named_parameters())
    _check_names(masks, parameters, "parameter")
    for name, mask in masks.items():
        if mask.shape != parameters[name].shape:
            shapes = f"{tuple(mask.shape)} instead of {tuple(parameters[name].shape)}"
            raise ValueError(f"the mask of {name} has the shape {shapes}")
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


def _check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Units are by layer name, masks by parameter name: taken for each other, none of them fits."""
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"the net has no {what} named {', '.join(unknown)}")
