"""BCS-P (Özdenizci & Legenstein 2021): sample connectivity while training adversarially.

weight   w = sign · max(θ, 0);  signs are drawn once, θ is trained;  connected means θ > 0
init     |He-normal| θ at random places, layer densities as in the authors' code, 0 elsewhere
batch    θ makes its step on the robust loss (disconnected θ have no gradient), then
         θ ← θ + learning rate · 1e-6 · ξ where it was connected,  ξ standard normal
         while fewer than K are connected: a layer drawn in proportion to its size connects
         a random free place at θ = 1e-12
export   the K largest θ stay
"""

import fnmatch
import math

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.dropgrow import DropGrow, Plan, random_masks
from advprune.pruning.masks import Masks
from advprune.pruning.parametrization import attach, remove
from advprune.training.loop import Loop

THETA = ".parametrizations.weight.original"  # what a layer's θ is called while it trains


class Signed(nn.Module):
    """Parametrization θ ↦ sign · max(θ, 0); its gradient is zero where θ ≤ 0."""

    sign: Tensor

    def __init__(self, sign: Tensor) -> None:
        super().__init__()
        self.register_buffer("sign", sign)

    def forward(self, theta: Tensor) -> Tensor:
        """Effective weight."""
        return self.sign * theta.relu()


def drawn_layers(
    count: int, sizes: dict[str, int], free: dict[str, int], rng: torch.Generator
) -> dict[str, int]:
    """Draw `count` layers with odds proportional to their sizes; full ones are drawn anew."""
    taken = dict.fromkeys(sizes, 0)
    while count > 0 and any(free[n] > taken[n] for n in sizes):
        weights = [float(sizes[n]) if free[n] > taken[n] else 0.0 for n in sizes]
        odds = torch.tensor(weights, device=rng.device)
        picks = torch.multinomial(odds, count, replacement=True, generator=rng)
        for name, hits in zip(sizes, picks.bincount(minlength=len(sizes)).tolist(), strict=True):
            more = min(hits, free[name] - taken[name])
            taken[name] += more
            count -= more
    return taken


class Sampling(DropGrow):
    """Langevin noise and refill after every step; connections vanish by themselves.

    The masks say which θ are positive, by the names of the θ.
    """

    def __init__(self, masks: Masks, budget: int, noise: float, newborn: float) -> None:
        super().__init__(masks, updates=0, rate=(0.0, 0.0), growth="random")
        self.budget, self.noise, self.newborn = budget, noise, newborn

    @torch.no_grad()
    def after_step(self, loop: Loop) -> None:
        """Noise on what was connected, then new connections for those that vanished."""
        thetas = {n: p for n, p in loop.net.named_parameters() if n in self.masks}
        scale = self.noise * loop.optimizer.param_groups[0]["lr"]
        for name, theta in thetas.items():
            noise = torch.randn(theta.shape, generator=loop.rng, device=theta.device)
            theta.add_(scale * noise * self.masks[name])
        left = {name: theta > 0 for name, theta in thetas.items()}
        self.masks = Masks(dict(left))
        self.rewire(loop)
        for name, theta in thetas.items():
            theta[self.masks[name] & ~left[name]] = self.newborn

    def settled(self, loop: Loop) -> bool:
        """Never: connections vanish and are drawn anew at every step."""
        return False

    def plan(self, loop: Loop) -> Plan:
        """Nothing is dropped; what is missing of the budget is spread over layers by chance."""
        counts = self.counts()
        missing = self.budget - sum(active for active, _ in counts.values())
        sizes = {name: total for name, (_, total) in counts.items()}
        free = {name: total - active for name, (active, total) in counts.items()}
        grown = drawn_layers(missing, sizes, free, loop.rng)
        return {name: (0, count) for name, count in grown.items() if count}

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log how many are connected."""
        record["connected"] = mk.count(self.masks.values())[0]


class ConnectivitySampling(Method):
    """Fixed signs, trained connectivity, one budget for the whole net."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train θ from a fresh net and keep the budget's largest."""
        sizes = {n: w.numel() for n, w in mk.weights(net).items()}
        budget = mk.kept_count(sum(sizes.values()), task.sparsity)
        thetas = self.parametrise(net, task)
        masks = Masks({n: theta.detach() > 0 for n, theta in thetas.items()})
        sampling = Sampling(masks, budget, task.params["noise"], task.params["newborn"])
        task.fit(net, "train", hooks=[sampling])
        return self.export(net, thetas, task.sparsity)

    @staticmethod
    def parametrise(net: nn.Module, task: Task) -> dict[str, nn.Parameter]:
        """Put signs and θ on every layer; θ by parameter name."""
        rng, named = task.trainer.rng("connectivity"), task.params["init_density"]
        masks = random_masks(net, initial_counts(net, named, 1 - task.sparsity), rng)

        def signed(name: str, theta: Tensor) -> Signed:
            normal = torch.randn(theta.shape, generator=rng, device=theta.device)
            # Keras' He normal is cut at two deviations and widened to keep its variance
            spread = math.sqrt(2 / theta[0].numel()) / 0.87962566
            nn.init.trunc_normal_(theta, 0, spread, -2 * spread, 2 * spread, generator=rng)
            theta.abs_().mul_(masks[f"{name}.weight"])
            return Signed(torch.where(normal < 0, -1.0, 1.0))

        attach(net, "unstructured", signed)
        return {n: p for n, p in net.named_parameters() if n.endswith(THETA)}

    @staticmethod
    def export(net: nn.Module, thetas: dict[str, nn.Parameter], sparsity: float) -> Masks:
        """Leave plain weights and return the masks of exactly the sparsity."""
        scores = {n.removesuffix(THETA): theta.detach().clone() for n, theta in thetas.items()}
        remove(net, effective=True)
        units = mk.rank(scores, sparsity, scope="global", floor=1)
        masks = mk.weight_masks(net, units, "unstructured")
        mk.apply(net, masks)
        return masks


def initial_counts(net: nn.Module, named: dict[str, float], density: float) -> dict[str, int]:
    """Connections per layer at the start: named layers (patterns) as given, others at half."""
    counts = {}
    for name, weight in mk.weights(net).items():
        given = [d for pattern, d in named.items() if fnmatch.fnmatch(name, pattern)]
        counts[name] = int((given[0] if given else density / 2) * weight.numel())
    return counts


METHOD = ConnectivitySampling()
