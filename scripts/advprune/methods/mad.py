"""MAD (Lee et al. 2022, arXiv 2204.02738): mask adversarial damage, measured to second order.

pretrain   θ minimises the robust loss                                    (shared stage)
prune      for batches of adversarial examples, θ frozen, in evaluation mode:
             f(m) = softplus(m) starts at 1;  Adam: m minimises the loss of the net θ · f(m) on them
             D = θ − θ · f(m);  saliency += ½ D · (H D),  H = diag(G) ⊗ A of the masked net
           remove the lowest saliencies: per row in the classifier, over all other layers together
finetune   MART with the mask fixed                                       (the default)
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.data.batches import batches
from advprune.methods.base import Method, Task
from advprune.pruning import kfac
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores, Units
from advprune.pruning.parametrization import attach, original, parts_on, remove
from advprune.training.inner import pgd

OPEN = math.log(math.e - 1)  # softplus is 1 there
SHUT = math.log(math.expm1(1e-4))  # and a ten thousandth there


class SoftMask(nn.Module):
    """Parametrization w ↦ w · softplus(m), one m per entry, between 1e-4 and 1."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.full_like(weight, OPEN))

    def forward(self, weight: Tensor) -> Tensor:
        """Masked weight."""
        return weight * F.softplus(self.m)

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring m back between its bounds."""
        self.m.clamp_(SHUT, OPEN)

    def damage(self, weight: Tensor) -> Tensor:
        """What the mask takes away; exactly nothing where it rests at its upper bound."""
        m = self.m.detach()
        return (weight * (1 - F.softplus(m))).masked_fill(m >= OPEN, 0.0)


class Masked:
    """A net with soft masks on the weights and biases of its layers, and nothing else to train."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.layers = net.eval().requires_grad_(False), mk.prunable(net, "unstructured")
        self.masks: list[SoftMask] = []
        for kind in ("weight", "bias"):
            parts = attach(net, "unstructured", lambda _, tensor: SoftMask(tensor), kind)
            self.masks += parts.values()

    def reset(self) -> None:
        """Open every mask."""
        for mask in self.masks:
            nn.init.constant_(mask.m, OPEN)

    def minimise(self, x: Tensor, y: Tensor, steps: int, lr: float) -> None:
        """Train the masks alone on the cross-entropy of one fixed batch."""
        optimizer = torch.optim.Adam([mask.m for mask in self.masks], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(self.net(x), y).backward()
            optimizer.step()
            for mask in self.masks:
                mask.clamp()

    def damage(self, name: str) -> Tensor:
        """D of a layer [O, I], its bias in the last column."""
        parts = []
        for mask, tensor in parts_on(self.layers[name], SoftMask):
            taken = mask.damage(tensor)
            parts.append(taken.view(len(taken), -1))
        return torch.cat(parts, dim=1)

    def saliency(self, x: Tensor, y: Tensor) -> Scores:
        """½ D · (H D) of every weight, at the masks as they are, in the weights' shapes."""
        found = {}
        for name, pair in kfac.factors(self.net, self.layers, x, y):
            share = kfac.quadratic(self.damage(name), pair)
            weight = original(self.layers[name])
            found[name] = share[:, : weight[0].numel()].view_as(weight)
        return found


def order(saliency: Scores, sizes: Scores) -> Scores:
    """Rank of every weight over all given layers, by saliency and among equals by magnitude."""
    values = torch.cat([s.flatten() for s in saliency.values()])
    ties = torch.cat([sizes[name].flatten() for name in saliency])
    by_size = ties.argsort(stable=True)
    by_both = by_size[values[by_size].argsort(stable=True)]
    ranks = torch.empty_like(by_both)
    ranks[by_both] = torch.arange(len(ranks), device=ranks.device)
    parts = ranks.double().split([s.numel() for s in saliency.values()])
    return {n: part.view(s.shape) for (n, s), part in zip(saliency.items(), parts, strict=True)}


def shares(sizes: Scores, head: str, sparsity: float) -> tuple[int, float]:
    """(weights that stay in each row of the classifier, sparsity of all other layers together).

    A UserError where the rows leave less than a weight for each of the others.
    """
    rows, columns = sizes[head].shape
    total = sum(size.numel() for size in sizes.values())
    kept = mk.kept_count(columns, sparsity)
    left = mk.kept_count(total, sparsity) - rows * kept
    if left < len(sizes) - 1:
        raise UserError(
            f"mad: a sparsity of {sparsity:g} leaves {left} weights for the {len(sizes) - 1} layers"
            f" before the classifier, whose {rows} rows keep {kept} each"
        )
    return kept, 1 - left / (total - rows * columns)


class AdversarialDamage(Method):
    """K-FAC saliency of what masks that lower the adversarial loss take away."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Average the saliency over batches and remove the lowest."""
        sizes = mk.magnitudes(net, "unstructured")
        head = list(sizes)[-1]
        kept, share = shares(sizes, head, task.sparsity)
        saliency = self.mean_saliency(net, task)
        rows = order({head: saliency.pop(head)}, sizes)[head]
        units = Units({head: torch.stack([mk.top_k(row, kept) for row in rows])})
        units |= mk.rank(order(saliency, sizes), share, scope="global", floor=1)
        return mk.weight_masks(net, units, "unstructured")

    @staticmethod
    def mean_saliency(net: nn.Module, task: Task) -> Scores:
        """Mean over a share of the training batches, attacked while all masks are open."""
        trainer, params = task.trainer, task.params
        masked, rng = Masked(net), trainer.rng("saliency")
        images = batches(trainer.train, params["batch"], generator=rng, augment=trainer.augment)
        count = max(1, round(params["share"] * len(trainer.train) / params["batch"]))
        mean = {n: torch.zeros_like(w) for n, w in mk.weights(net).items()}
        for _, (x, y) in zip(range(count), images, strict=False):
            masked.reset()
            attacked = pgd(net, x, y, trainer.threat, rng)
            masked.minimise(attacked, y, params["mask_steps"], params["mask_lr"])
            for name, found in masked.saliency(attacked, y).items():
                mean[name] += found / count
        remove(net)
        return mean


METHOD = AdversarialDamage()
