"""What the operations of `formulas` do to tensors, as their authors' programs do it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from advprune.models.foreign.formulas import Formula

ALPHA = 0.1  # HARP's smallest share of a layer in terms of the global one: not in its files
EPS = 1e-5  # of every BatchNorm of the released nets


def make(formula: Formula, tensor: Callable[[str], Tensor], sparsity: float) -> Tensor:
    """A tensor by its formula.

    `tensor` gives the file's by their names; `sparsity` in [0, 1) is the share that scores remove.
    """
    parts = [make(p, tensor, sparsity) if isinstance(p, Formula) else tensor(p) for p in formula.of]
    if formula.operation in _RANKED:
        return parts[0] * _RANKED[formula.operation](1 - sparsity, *parts)
    return _PLAIN[formula.operation](*parts)


def learned_share(kept: float, rate: Tensor) -> Tensor:
    """HARP's share that a layer keeps, float32: between a tenth of the global share and 1."""
    least = ALPHA * kept
    return least + (1 - least) * torch.sigmoid(rate.float())


def _rank(kept: float, weight: Tensor, scores: Tensor) -> Tensor:
    """The mask of a layer's largest scores: the first int((1 - k)·n) in their order are 0."""
    return _best(scores, int((1 - kept) * scores.numel())).view_as(weight)


def _rank_rate(kept: float, weight: Tensor, scores: Tensor, rate: Tensor) -> Tensor:
    share = learned_share(kept, rate)
    return _best(scores, int((1 - share) * scores.numel())).view_as(weight)


def _rank_channel(kept: float, weight: Tensor, scores: Tensor, rate: Tensor) -> Tensor:
    """The mask of the round(k·C) input channels with the largest scores, [1, C] or [1, C, 1, 1]."""
    left = int(torch.round(learned_share(kept, rate) * scores.numel()))
    return _best(scores, scores.numel() - left).view_as(scores)


def _best(scores: Tensor, removed: int) -> Tensor:
    """1 for all but the `removed` smallest absolute scores, flat."""
    mask = torch.ones(scores.numel())
    mask[scores.abs().flatten().argsort(stable=True)[:removed]] = 0
    return mask


def _product(first: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        first = first * other
    return first


def _mix(factors: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """Every filter a sum of all filters by its row of factors, then masked."""
    return (factors @ weight.flatten(1)).view_as(weight) * mask


def _fold_weight(weight: Tensor, scale: Tensor, variance: Tensor) -> Tensor:
    return weight.double() * _gain(scale, variance)[:, None]


def _fold_bias(bias: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return (bias.double() - mean.double()) * _gain(scale, var) + shift.double()


def _gain(scale: Tensor, variance: Tensor) -> Tensor:
    """What BatchNorm multiplies a unit by."""
    return scale.double() / torch.sqrt(variance.double() + EPS)


_PLAIN: dict[str, Callable[..., Tensor]] = {
    "copy": lambda tensor: tensor,
    "product": _product,
    "softplus": lambda weight, mask: weight * F.softplus(mask),
    "mix": _mix,
    "minus": lambda mean, bias: mean.double() - bias.double(),
    "fold_weight": _fold_weight,
    "fold_bias": _fold_bias,
    "ones": lambda tensor: torch.ones(len(tensor)),
    "zeros": lambda tensor: torch.zeros(len(tensor)),
    "squeeze": lambda tensor: tensor[:, :, 0, 0],
}
_RANKED: dict[str, Callable[..., Tensor]] = {
    "rank": _rank,
    "rank_rate": _rank_rate,
    "rank_channel": _rank_channel,
}
