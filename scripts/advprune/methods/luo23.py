"""Luo23 (Luo et al. 2023): channels that serve the right class steadily under mixed noise stay.

pretrain   θ minimises the robust loss                                       (shared stage)
prune      x̃  the batch under mixed noise; every layer has a head V on its pooled maps z
           c_k = V_yk z_k  what channel k adds for the right class,  ĉ = c / ‖c‖₁
           r_k ← running mean of  max(ĉ_k(x̃), 0) − |ĉ_k(x) − ĉ_k(x̃)|
           block by block from the front, for equal shares of the phase
             gate g = top-K of sigmoid(α) + rank(r) in each layer of the block
             θ, V, α minimise  CE(x) + CE(x̃) + w Σ_l CE of the heads + λ mean_l ‖ĉ(x) − ĉ(x̃)‖₁
             at the end of its share the block loses the channels with g = 0
finetune   θ minimises the robust loss with the mask fixed                   (the default)
"""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.methods.base import Method, Task
from advprune.models.blocks import Residual
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Units
from advprune.pruning.saliency import feature_maps, gated
from advprune.training.channel_noise import MixedNoise
from advprune.training.loop import Loop


def blocks(net: nn.Module) -> list[list[str]]:
    """Convolutions in groups that are pruned together: residual blocks, others one by one."""
    residual = [n for n, m in net.named_modules() if isinstance(m, Residual)]
    groups: dict[str, list[str]] = {}
    for name in mk.prunable(net, "filters"):
        owner = next((b for b in residual if name.startswith(f"{b}.")), name)
        groups.setdefault(owner, []).append(name)
    return list(groups.values())


def contributions(weight: Tensor, pooled: Tensor, y: Tensor) -> Tensor:
    """ĉ [B, C]: each channel's share in what a head with `weight` finds for the right class."""
    terms = weight[y] * pooled
    return terms / terms.abs().sum(1, keepdim=True).clamp(min=1e-12)


def ranks(scores: Tensor) -> Tensor:
    """Rank of every entry, from 0 (lowest) to 1."""
    order = scores.argsort(stable=True).argsort(stable=True)
    return order / max(1, len(scores) - 1)


class Selection(KeepMasked):
    """Objective and hook of the channel selection.

    Heads learn from the start, on detached maps until it is their block's turn: a block's share
    may be a few batches only. They start at zero, where contributions have no noise of their own.
    """

    state = ("units", "masks", "robust", "turn", "swayed")

    def __init__(self, net: nn.Module, task: Task, noise: MixedNoise) -> None:
        super().__init__()
        self.params, self.sparsity, self.noise = task.params, task.sparsity, noise
        self.blocks, self.turn = blocks(net), 0
        self.swayed = 0  # channels that the trained gates keep and the scores alone would not
        self.units = Units({})
        classes = len(list(mk.weights(net).values())[-1])
        device = task.trainer.device
        sizes = {n: len(w) for n, w in mk.weights(net, "filters").items()}
        zeros = {n: torch.zeros(size, device=device) for n, size in sizes.items()}
        self.robust = {n: z.clone() for n, z in zeros.items()}
        self.alpha = {n: nn.Parameter(z) for n, z in zeros.items()}
        self.heads = {n: nn.Parameter(z.new_zeros(classes, len(z))) for n, z in zeros.items()}
        self.maps: dict[str, Tensor] = {}
        self.optimizer = torch.optim.Adam(self.alpha.values(), lr=self.params["gate_lr"])

    def current(self) -> list[str]:
        """Layers whose gates are at work."""
        return self.blocks[self.turn] if self.turn < len(self.blocks) else []

    def open(self, name: str, trained: bool = True) -> Tensor:
        """Mask of the channels that the layer would keep now, by the scores alone if asked."""
        priority = ranks(self.robust[name])
        if trained:
            priority = priority + self.alpha[name].detach().sigmoid()
        return mk.top_k(priority, mk.kept_count(len(priority), self.sparsity))

    def gate(self, name: str) -> Tensor | None:
        """0 or 1 per channel of a current layer, with the straight-through gradient to α."""
        if name not in self.current():
            return None
        soft = self.alpha[name].sigmoid()
        return self.open(name) + (soft - soft.detach())

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Selection loss of a batch; the robustness scores move along."""
        noisy = self.noise(net, x, y, generator)
        total, pooled = x.new_zeros(()), []
        for images in (x, noisy):
            total = total + F.cross_entropy(net(images), y)
            # maps are rounded where training is: the heads are not
            pooled.append({n: found.float().mean((2, 3)) for n, found in self.maps.items()})
        current = self.current()
        for name in chain.from_iterable(self.blocks[self.turn :]):
            pair = [z[name] if name in current else z[name].detach() for z in pooled]
            logits = [F.linear(z, self.heads[name]) for z in pair]
            heads = sum(F.cross_entropy(logit, y) for logit in logits)
            # the head only reads: it must not make the difference small by itself
            clean, noised = (contributions(self.heads[name].detach(), z, y) for z in pair)
            difference = (clean - noised).abs()
            total = total + self.params["head_weight"] * heads
            if name in current:
                total = total + self.params["difference"] / len(current) * difference.sum(1).mean()
            score = (noised.clamp(min=0) - difference).detach().mean(0)
            self.robust[name] = torch.lerp(score, self.robust[name], self.params["memory"])
        return total

    def before_step(self, loop: Loop) -> None:
        """Cut the blocks whose share is over."""
        self.cut(loop.net, loop.due(len(self.blocks), last=True))

    def cut(self, net: nn.Module, turn: int) -> None:
        """Remove the closed channels of all blocks before `turn` that still have them."""
        if turn == self.turn:
            return
        for name in chain.from_iterable(self.blocks[self.turn : turn]):
            self.units[name] = self.open(name)
            self.swayed += int((self.units[name] & ~self.open(name, trained=False)).sum())
        self.turn = turn
        self.masks = mk.weight_masks(net, self.units, "filters")
        mk.apply(net, self.masks)

    def settled(self, loop: Loop) -> bool:
        """After the last block's cut."""
        return self.turn == len(self.blocks)

    def after_step(self, loop: Loop) -> None:
        """Step of the gates; removed channels stay zero."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        super().after_step(loop)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the maps."""
        return super().state_dict() | {
            "alpha": {name: alpha.detach() for name, alpha in self.alpha.items()},
            "heads": {name: head.detach() for name, head in self.heads.items()},
            "optimizer": self.optimizer.state_dict(),
            "noise": self.noise.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore all of it; parameters keep their identity for the optimisers."""
        super().load_state_dict(state)
        for name, alpha in self.alpha.items():
            alpha.copy_(state["alpha"][name])
            self.heads[name].copy_(state["heads"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.noise.load_state_dict(state["noise"])


class ChannelSelection(Method):
    """Block-wise channel selection under mixed noise."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train the selection over all blocks, cutting each at the end of its share."""
        trainer, params = task.trainer, task.params
        channels = trainer.train.images.shape[1]
        settings = (params["noise"], channels, params["l2_share"], params["perturber_lr"])
        noise = MixedNoise(trainer.threat, *settings, trainer.rng("perturber"))
        selection = Selection(net, task, noise)
        parameters = [*net.parameters(), *selection.heads.values()]
        with feature_maps(net) as selection.maps, gated(net, selection.gate):
            task.fit(net, "prune", objective=selection, hooks=[selection], parameters=parameters)
        selection.cut(net, len(selection.blocks))
        if selection.swayed == 0:
            moved = max(float(a.detach().abs().max()) for a in selection.alpha.values())
            task.mark(f"the trained gates decided nothing: they moved by {moved:.2g} at most")
        return selection.masks


METHOD = ChannelSelection()
