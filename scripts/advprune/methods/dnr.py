"""DNR (Kundu et al. 2021, arXiv 2011.03083): dynamic network rewiring in one training run.

init     a random mask of the target density over the whole net;  Z ← W, U ← 0
batch    a step on β CE(clean) + (1 − β) CE(adversarial) + Σ ρ/2 ‖W − Z + U‖²,  then W ← W · mask;
         the momentum μ stays dense, so that absent connections keep gathering gradient
epoch    v_l ← mean |μ| over the active weights of layer l, normalised to sum 1
         drop the ceil(p · active) smallest units of every layer,  R in all;  p falls from 0.5 to 0
         grow v_l · R inactive units of largest |μ| in layer l,  R in all
         Z ← W + U on the mask,  U ← U + W − Z

A unit is a weight or an input channel; the norms of channels are Euclidean.
"""

import math

import torch
from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.admm import Admm, Weights
from advprune.pruning.allocation import share_out
from advprune.pruning.dropgrow import DropGrow, Plan, linear_rate, momentum_growth
from advprune.pruning.masks import Masks
from advprune.training.loop import Loop

CROWDED, CAP = 0.8, 0.99  # densities beyond which a layer drops less, or may not grow


class Rewiring(DropGrow):
    """Magnitude drop within layers, momentum growth across them; the total never changes."""

    def apply_masks(self, loop: Loop) -> None:
        """Keep removed weights at zero, but not their momentum, which growth reads."""
        mk.apply(loop.net, self.masks)

    def drop_rate(self, loop: Loop) -> float:
        """A straight line over the training."""
        return linear_rate(*self.rate, loop.time)

    def shares(self, loop: Loop) -> dict[str, float]:
        """Mean momentum of every layer's active weights, normalised to sum 1."""
        parameters = dict(loop.net.named_parameters())
        means = [
            loop.optimizer.state[parameters[name]]["momentum_buffer"][mask].abs().mean()
            for name, mask in self.masks.items()
        ]
        joined = torch.stack(means).double()
        shares = joined / joined.sum()
        if not bool(shares.isfinite().all()):  # the training has collapsed; let it end
            shares = torch.ones_like(joined) / len(joined)
        return dict(zip(self.masks, shares.tolist(), strict=True))

    def moved(self, loop: Loop) -> dict[str, int]:
        """Inactive units with any momentum: behind a dead ReLU nothing could learn."""
        parameters, found = dict(loop.net.named_parameters()), {}
        for name, mask in self.masks.items():
            pushed = self.kind.occupied(momentum_growth(parameters[name], loop) > 0)
            found[name] = int((pushed & ~self.kind.occupied(mask)).sum())
        return found

    def plan(self, loop: Loop) -> Plan:
        """Each layer drops its share of its own; all that was dropped is grown by momentum."""
        rate, shares, drops, free = self.drop_rate(loop), self.shares(loop), {}, {}
        for name, (active, total) in self.counts().items():
            density = active / total
            crowded = density > CROWDED and shares[name] > 1 / len(shares)
            own = min(1 - density, rate) if crowded else rate
            drops[name] = min(math.ceil(own * active), active - 1)  # no layer dies
            free[name] = total - active + drops[name]
        dropped, moved = sum(drops.values()), self.moved(loop)
        room = {n: math.floor(CAP * min(k, moved[n] + drops[n])) for n, k in free.items()}
        if sum(room.values()) < dropped:
            room = free
        grown = share_out(dropped, shares, room)
        return {name: (drops[name], grown[name]) for name in drops}


class DynamicRewiring(Method):
    """Sparse training on a hybrid loss, pulled to where each epoch began."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train sparsely from a fresh net; the last topology is the mask."""
        params, structure = task.params, task.structure
        noise = mk.random_scores(net, structure, task.trainer.rng("initial topology"))
        units = mk.rank(noise, task.sparsity, scope="global", floor=1)
        masks = mk.weight_masks(net, units, structure)
        mk.apply(net, masks)
        rate = (params["drop_rate"], params["last_drop_rate"])
        rewiring = Rewiring(masks, params["updates"], rate, "momentum", structure)

        def support(current: Weights) -> Weights:
            return {name: rewiring.masks[f"{name}.weight"] for name in current}

        cycles = params["updates"] + 1
        pull = Admm(net, structure, support, rho=params["rho"], growth=1.0, cycles=cycles)
        task.fit(net, "train", hooks=[rewiring, pull])
        return rewiring.masks


METHOD = DynamicRewiring()
