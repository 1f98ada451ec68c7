"""SR-GKP (Zhong et al. 2023, NeurIPS): keep diverse and smooth grouped kernels.

pretrain   natural training                                               (shared stage)
prune      without data, for every convolution of n groups:
           filters sorted by smoothness are dealt to the groups back and forth
           per group, kernels of one input channel make one grouped kernel v_j;
           M = 1 − ‖v_a − v_b‖;  cost(Q) = Σ M within Q − λ Σ_{j not in Q} max_{i in Q} M_ij
           beams from every channel add the channels of least M to theirs; every third step the
           best in rank of cost and smoothness stay; the cheapest of all at the end is kept
finetune   natural training with the mask fixed                           (the default)

All filters of a group read the same channels, so every layer is a grouped convolution.
"""

import math

import torch
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Units


def smoothness(kernels: Tensor) -> Tensor:
    """Sum over neighbouring weights a, b of |a² − b²|, each pair twice; low is smooth.

    Kernels are [..., k, k]; the neighbours of a weight are the up to eight around it.
    """
    square = kernels.square()
    pairs = [
        square[..., 1:, :] - square[..., :-1, :],
        square[..., :, 1:] - square[..., :, :-1],
        square[..., 1:, 1:] - square[..., :-1, :-1],
        square[..., 1:, :-1] - square[..., :-1, 1:],
    ]
    return 2 * torch.stack([p.abs().sum((-2, -1)) for p in pairs]).sum(0)


def deal_back_and_forth(values: Tensor, groups: int) -> Tensor:
    """Group of every filter: sorted ascending, dealt 0 … n−1, then n−1 … 0, and so on."""
    deal = torch.arange(groups, device=values.device).repeat(len(values) // groups, 1)
    deal[1::2] = deal[1::2].flip(1)
    labels = torch.empty_like(deal.flatten())
    labels[values.argsort(stable=True)] = deal.flatten()
    return labels


def kept_channels(shapes: dict[str, tuple[int, int]], sparsity: float) -> dict[str, int]:
    """Input channels that every group of a layer keeps, from its [filters, channels].

    Rounded layer by layer, the wide ones first, each taking over what is left of the rounding
    before it: the net's count of kernels is met to half the filters of its narrowest layer. Every
    filter keeps one kernel, and a sparsity that leaves less is a UserError.
    """
    widths = [filters for filters, _ in shapes.values()]
    wanted = mk.kept_count(sum(math.prod(shape) for shape in shapes.values()), sparsity)
    if wanted < sum(widths) - min(widths) // 2:
        raise UserError(
            f"srgkp: a sparsity of {sparsity:g} leaves {wanted} kernels, less than one for each of "
            f"{sum(widths)} filters"
        )
    kept, given, units = {}, 0, 0
    for name, (filters, channels) in sorted(shapes.items(), key=lambda item: -item[1][0]):
        units += filters * channels
        missing = (mk.kept_count(units, sparsity) - given) / filters
        kept[name] = min(max(math.floor(missing + 0.5), 1), channels)
        given += kept[name] * filters
    return kept


def best_ranks(values: Tensor) -> Tensor:
    """Rank along the last dimension; the lowest value has the highest, among equals the later."""
    return values.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1, stable=True)


class Beams:
    """Selections of input channels grown from every channel at once: [starts, beam, channels]."""

    def __init__(self, similarity: Tensor, rough: Tensor, count: int) -> None:
        channels = len(similarity)
        self.similarity, self.rough, self.count = similarity, rough, count
        self.chosen = torch.eye(channels, dtype=torch.bool, device=rough.device)[:, None]
        self.size = 1
        # per selection: sum of M to its members for every channel, the largest, and the inner sum
        self.sums = similarity[:, None].clone()
        self.nearest = similarity[:, None].clone()
        self.inner = torch.zeros(channels, 1, device=rough.device)
        self.balance: float | None = None

    def grow(self, width: int) -> None:
        """Every selection is followed by its `width` extensions of least M to its members."""
        _, beam, channels = self.chosen.shape
        costs = self.sums.masked_fill(self.chosen, math.inf)
        width = min(width, channels - self.size)
        flat = costs.topk(width, largest=False).indices.flatten(1)
        parent = torch.arange(beam, device=flat.device).repeat_interleave(width)
        sums, rows, at = self.sums[:, parent], self.similarity[flat], flat[:, :, None]
        self.inner = self.inner[:, parent] + sums.gather(2, at)[..., 0]
        self.chosen = self.chosen[:, parent].scatter(2, at, True)
        self.sums = sums + rows
        self.nearest = torch.maximum(self.nearest[:, parent], rows)
        self.size += 1

    def cost(self) -> Tensor:
        """Inner minus λ · outer of every selection; λ stays as at its first evaluation."""
        outer = self.nearest.masked_fill(self.chosen, 0.0).sum(2)
        if self.balance is None:
            self.balance = math.comb(self.size, 2) / (self.chosen.shape[2] - self.size)
        return self.inner - self.balance * outer

    def trim(self, width: int, weight: float) -> None:
        """Keep the `width` selections of each start that rank best in cost and smoothness."""
        smooth = self.chosen.to(self.rough.dtype) @ self.rough
        ranks = weight * best_ranks(self.cost()) + (1 - weight) * best_ranks(smooth)
        stay = ranks.argsort(dim=1, descending=True, stable=True)[:, :width]
        across = stay[:, :, None].expand(-1, -1, self.chosen.shape[2])
        self.chosen, self.sums = self.chosen.gather(1, across), self.sums.gather(1, across)
        self.nearest, self.inner = self.nearest.gather(1, across), self.inner.gather(1, stay)

    def search(self, width: int, check: int, weight: float) -> Tensor:
        """Mask [channels] of the cheapest selection of `count` channels."""
        if self.count == len(self.similarity):
            return torch.ones_like(self.chosen[0, 0])
        while self.size < self.count:
            self.grow(width)
            if (self.size - 1) % check == 0:
                self.trim(width, weight)
        return self.chosen.flatten(0, 1)[self.cost().flatten().argmin()]


class GroupedKernels(Method):
    """Which channels each group of filters keeps, from the weights alone."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Group the filters of every layer and search each group's channels."""
        weights = mk.weights(net, task.structure)
        shapes = {n: (w.shape[0], w.shape[1]) for n, w in weights.items()}
        kept = kept_channels(shapes, task.sparsity)
        units = Units({n: self.channels(w, kept[n], task) for n, w in weights.items()})
        return mk.weight_masks(net, units, task.structure)

    @staticmethod
    def channels(weight: Tensor, count: int, task: Task) -> Tensor:
        """Kernel mask [filters, channels] of one layer."""
        rough = smoothness(weight)
        groups = math.gcd(task.params["groups"], len(weight))
        labels = deal_back_and_forth(rough.sum(1), groups)
        mask = torch.zeros_like(rough, dtype=torch.bool)
        how = [task.params[name] for name in ("beam", "check_every", "cost_weight")]
        for group in range(groups):
            members = labels == group
            grouped = weight[members].transpose(0, 1).flatten(1)
            distance = torch.cdist(grouped, grouped, compute_mode="donot_use_mm_for_euclid_dist")
            mask[members] = Beams(1 - distance, rough[members].sum(0), count).search(*how)
        return mask


METHOD = GroupedKernels()
