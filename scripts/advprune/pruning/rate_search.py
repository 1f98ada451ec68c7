"""What an agent that searches kept rates sees and may do: one episode over the layers of a net.

States, budget wall and units as in Heracles (Zhao et al. 2022), a search in the manner of AMC (He
et al. 2018). The budget counts weights or input channels, as sparsity does.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from advprune.models.frozen import frozen
from advprune.pruning import masks as mk
from advprune.pruning.allocation import Rates, allocate, groups, unit_counts


class Episode:
    """One pass over the groups of layers that share a rate, under the budget's wall."""

    def __init__(
        self, net: nn.Module, structure: str, kept: float, bounds: list[float], image: Tensor
    ) -> None:
        self.kept = kept
        self.sizes = unit_counts(net, structure)
        self.groups = groups(self.sizes, structure)
        self.costs = [sum(self.sizes[n] for n in names) for names in self.groups.values()]
        self.total = mk.kept_count(sum(self.costs), 1 - kept)
        self.low, self.high = min(bounds[0], kept / 2), bounds[1]
        described = layer_features(net, list(self.groups), self.costs, image)
        span = (described.amax(0) - described.amin(0)).clamp(min=1e-9)
        self.width = described.shape[1] + 3
        self.features = (described - described.amin(0)) / span

    def run(self, act: Callable[[Tensor], float]) -> tuple[Tensor, list[float], list[float]]:
        """States [T, width], the answers of `act` in [0, 1], and the rate of every group."""
        states: list[Tensor] = []
        actions: list[float] = []
        rates: list[float] = []
        spent, whole = 0.0, sum(self.costs)
        for t, cost in enumerate(self.costs):
            later = sum(self.costs[t + 1 :])
            reduced = (sum(self.costs[:t]) - spent) / whole
            dynamic = torch.tensor([reduced, later / whole, rates[-1] if rates else 1.0])
            states.append(torch.cat([self.features[t], dynamic]))
            actions.append(act(states[-1]))
            wall = (self.total - spent - self.low * later) / cost
            rate = self.low + actions[-1] * (self.high - self.low)
            rates.append(min(rate, max(self.low, min(self.high, wall))))
            spent += rates[-1] * cost
        return torch.stack(states), actions, rates

    def uniform(self, state: Tensor | None = None) -> float:
        """Answer that gives every layer the kept share, whatever the state."""
        return (self.kept - self.low) / (self.high - self.low)

    def counts(self, rates: list[float]) -> dict[str, int]:
        """Units to keep per layer, exactly the budget in all."""
        return self.exact(
            {n: r for g, r in zip(self.groups.values(), rates, strict=True) for n in g}
        )

    def exact(self, rates: Rates) -> dict[str, int]:
        """Units to keep per layer from rates by layer name, exactly the budget in all."""
        return allocate(rates, self.sizes, self.total)


def layer_features(net: nn.Module, names: list[str], costs: list[int], image: Tensor) -> Tensor:
    """Index, channels in and out, map height and width, their ratio, kernel and cost; [T, 8]."""
    maps: dict[str, tuple[int, int]] = {}
    modules = dict(net.named_modules())

    def watch(name: str) -> Callable:
        return lambda module, given: maps.__setitem__(name, tuple(given[0].shape[2:]) or (1, 1))

    handles = [modules[n].register_forward_pre_hook(watch(n)) for n in names]
    with torch.no_grad(), frozen(net):
        net(image)
    for handle in handles:
        handle.remove()
    rows = []
    for t, (name, cost) in enumerate(zip(names, costs, strict=True)):
        weight = modules[name].weight
        ratio = weight.shape[0] / weight.shape[1] if weight.dim() == 4 else 0
        kernel = weight.shape[-1] if weight.dim() == 4 else 1
        rows.append([t, weight.shape[1], weight.shape[0], *maps[name], ratio, kernel, cost])
    return torch.tensor(rows, dtype=torch.float32)
