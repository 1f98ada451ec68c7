"""FSRP (Qian et al. 2024): filters whose maps of adversarial examples are of low frequency stay.

pretrain   θ minimises the robust loss                                       (shared stage)
prune      A_j  the maps of filter j (after BatchNorm and ReLU) on PGD examples,  P = |FFT(A_j)|
           R_j = Σ P where the frequency is at most ρ of the highest / Σ P elsewhere
           maps that hardly vary come last: they have no high frequencies, but nothing to say
           every layer loses the filters of smallest R
finetune   θ minimises the robust loss with the mask fixed                   (the default)
"""

import logging

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.saliency import attacked_batches, evaluating, feature_maps

log = logging.getLogger("advprune")


def low_frequencies(height: int, width: int, cutoff: float, device: torch.device) -> Tensor:
    """Mask [H, W], in the order of `fft2`, of frequencies at most `cutoff` of the highest."""
    rows, columns = (torch.fft.fftfreq(n, device=device) * 2 for n in (height, width))
    return torch.hypot(rows[:, None], columns[None, :]) <= cutoff


def spectra(maps: Tensor, cutoff: float) -> Tensor:
    """Amplitude at low and at high frequencies of each filter, summed over the images: [2, C]."""
    amplitude = torch.fft.fft2(maps.double()).abs()
    height, width = maps.shape[2:]
    low = low_frequencies(height, width, cutoff, maps.device)
    return torch.stack([(amplitude * part).sum((0, 2, 3)) for part in (low, ~low)])


def variances(maps: Tensor) -> Tensor:
    """Variance over the pixels of each filter's map, summed over the images: [C]."""
    return maps.double().var((2, 3), correction=0).sum(0)


def flat_last(ratios: Tensor, variances: Tensor, share: float) -> Tensor:
    """The ratios, but below all of them where a filter's maps hardly vary, the flattest lowest.

    That is where the variance is less than `share` (below 1) of the median over the layer's live
    filters.
    """
    live = variances[variances > 0]
    if len(live) == 0:
        return ratios
    relative = variances / live.quantile(0.5)
    return torch.where(relative < share, relative - 1, ratios)


@torch.no_grad()
def ratios(net: nn.Module, task: Task) -> Scores:
    """R of every filter, below zero if its maps are flat; l1 norms where maps are of one pixel."""
    params = task.params
    samples = attacked_batches(net, task.trainer, params["batch"], "spectra", params["batches"])
    sums: dict[str, Tensor] = {}
    pixels: dict[str, int] = {}
    with evaluating(net), feature_maps(net) as maps:
        for x, _ in samples:
            net(x)
            for name, found in maps.items():
                measured = torch.vstack([spectra(found, params["cutoff"]), variances(found)])
                sums[name] = sums.get(name, 0) + measured
                pixels[name] = found[0, 0].numel()
    scores = {
        name: flat_last(low / (high + 1e-8), variance, params["flat"])
        for name, (low, high, variance) in sums.items()
    }
    flat = [name for name, count in pixels.items() if count == 1]
    if flat:
        log.info("maps of one pixel have no spectrum; by norm: %s", ", ".join(flat))
    norms = mk.magnitudes(net, "filters", order=1)
    return scores | {name: norms[name] for name in flat}


class FourierSpace(Method):
    """Low- over high-frequency content of feature maps, one shot, each layer at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank the ratios within each layer."""
        units = mk.rank(ratios(net, task), task.sparsity)
        return mk.weight_masks(net, units, "filters")


METHOD = FourierSpace()
