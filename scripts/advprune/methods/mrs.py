"""MRS / MRPF (Bai et al. 2024, arXiv 2410.15176): the more sensitive a module, the lower its rate.

pretrain   θ minimises the robust loss                                       (shared stage)
prune      D  PGD examples of the net, made once;  R(θ) their mean cross-entropy
           MRS_i = max R(θ with θ_i + d) − R(θ)  over  ‖d‖ ≤ ε ‖θ_i‖,  by gradient ascent
           s_i ∈ [0, 1]  MRS_i, or its rank, from the least to the most sensitive module
           r_i = min(c (1 − κ s_i), 1 − β (1 − sparsity))  with c such that
           Σ n_i r_i = sparsity · Σ n_i;  but the first module's rate is the sparsity
           module i loses its r_i n_i filters of smallest l1 norm
finetune   θ minimises any robust loss with the mask fixed                   (the default)
"""

import logging
import math
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.data.batches import Batch
from advprune.methods.base import Method, Task
from advprune.models.frozen import frozen
from advprune.pruning import masks as mk
from advprune.pruning.allocation import round_to_total
from advprune.pruning.masks import Masks, Units
from advprune.pruning.saliency import attacked_batches
from advprune.pruning.structures import Layer

log = logging.getLogger("advprune")


@torch.no_grad()
def mean_loss(net: nn.Module, samples: list[Batch]) -> float:
    """Mean cross-entropy over all samples, in the net's present mode."""
    total = sum(F.cross_entropy(net(x), y, reduction="sum") for x, y in samples)
    return float(total) / sum(len(y) for _, y in samples)


def within(weight: Tensor, start: Tensor, radius: float) -> Tensor:
    """`weight`, drawn back to the distance `radius` · ‖start‖ from `start` if it is farther."""
    offset = weight - start
    return start + offset * min(1.0, float(radius * start.norm() / offset.norm().clamp(min=1e-30)))


def sensitivity(
    net: nn.Module,
    layer: Layer,
    samples: list[Batch],
    radius: float,
    epochs: int,
    lr: float,
) -> float:
    """MRS of a layer: the highest rise of the mean loss after any pass of the ascent, from 0 up.

    The net is as before afterwards. Batches make a step each; the radius holds after each pass.
    """
    weight, start = layer.weight, layer.weight.detach().clone()
    with frozen(net):
        first = worst = mean_loss(net, samples)
        weight.requires_grad_()
        for _ in range(epochs):
            for x, y in samples:
                (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), y), weight)
                weight.data += lr * gradient
            weight.data = within(weight.detach(), start, radius)
            worst = max(worst, mean_loss(net, samples))
        weight.data = start
    return worst - first


def relative(values: Mapping[str, float], tail: float) -> dict[str, float]:
    """Values scaled to [0, 1]; their ranks if the largest exceeds `tail` times the median."""
    numbers = list(values.values())
    if max(numbers) > tail * statistics.median(numbers):
        values = {n: float(sum(other < v for other in numbers)) for n, v in values.items()}
    low, high = min(values.values()), max(values.values())
    return {n: (v - low) / (high - low) if high > low else 0.0 for n, v in values.items()}


def rates(
    sizes: Mapping[str, int],
    relative: Mapping[str, float],
    sparsity: float,
    kappa: float,
    least: float,
) -> dict[str, float]:
    """Rate of every module, by bisection on c; their mean over all filters is the sparsity.

    Every module keeps at least the share `least`, below 1, of what equal rates would leave it.
    """
    ceiling = 1 - least * (1 - sparsity)
    desire = {n: 1 - kappa * s for n, s in relative.items()}

    def at(c: float) -> dict[str, float]:
        return {n: min(c * d, ceiling) for n, d in desire.items()}

    low, high = 0.0, ceiling / min(desire.values())
    for _ in range(100):
        c = (low + high) / 2
        removed = sum(sizes[n] * r for n, r in at(c).items())
        low, high = (c, high) if removed < sparsity * sum(sizes.values()) else (low, c)
    return at(high)


def removals(sizes: Mapping[str, int], rates: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers of filters to remove: the largest remainders are rounded up, one stays."""
    exact = {n: sizes[n] * rates[n] for n in sizes}
    room = {n: size - 1 for n, size in sizes.items()}
    return round_to_total(exact, room, total)


def counts(
    sizes: Mapping[str, int], found: Mapping[str, float], sparsity: float, params: Mapping[str, Any]
) -> dict[str, int]:
    """Filters that every layer loses; the first layer, the stem, takes no part in the allocation.

    `found` are the sensitivities of all others. The stem's radius is that of a small tensor behind
    which BatchNorm restores the scale: it would count as insensitive and lose most of the net's
    view of the image.
    """
    stem = next(iter(sizes))
    lost = {stem: mk.removed_count(sizes[stem], sparsity)}
    left = mk.removed_count(sum(sizes.values()), sparsity) - lost[stem]
    others = {n: size for n, size in sizes.items() if n != stem}
    share = left / sum(others.values())
    shares = relative(found, params["tail"])
    wanted = rates(others, shares, share, params["kappa"], params["least"])
    return lost | removals(others, wanted, left)


class SensitivityRates(Method):
    """Filters by l1 norm within each layer, at rates that follow the layers' sensitivity."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Measure every layer, share out the removals, rank."""
        params = task.params
        layers = mk.prunable(net, "filters")
        one_pass = math.ceil(len(task.trainer.train) / params["batch"])
        count = min(params["batches"], one_pass)
        trainer, batch = task.trainer, params["batch"]
        samples = list(attacked_batches(net, trainer, batch, "sensitivity", count))
        ascent = {k: params[k] for k in ("radius", "epochs", "lr")}
        found = {n: sensitivity(net, layers[n], samples, **ascent) for n in list(layers)[1:]}
        sizes = {n: len(w) for n, w in mk.weights(net, "filters").items()}
        lost = counts(sizes, found, task.sparsity, params)
        for name, value in found.items():
            log.info("%s: sensitivity %.4g, rate %.3f", name, value, lost[name] / sizes[name])
        scores = mk.magnitudes(net, "filters", order=1)
        units = Units({n: mk.top_k(s, sizes[n] - lost[n]) for n, s in scores.items()})
        return mk.weight_masks(net, units, "filters")


METHOD = SensitivityRates()
