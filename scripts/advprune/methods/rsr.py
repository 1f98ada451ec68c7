"""RSR (Rakin et al. 2019, arXiv 1905.13074): noise, lasso and adversarial training, then one cut.

pretrain   W minimises the robust loss                                    (shared stage)
prune      W + α η in place of W,  η ~ N(0, std(W)²) by entries,  one α per output channel;
           W, α minimise  ½ CE(clean) + ½ CE(adversarial) + λ ‖W‖₁
           the noise goes; the largest |W| of the whole net stay
finetune   W minimises ½ CE(clean) + ½ CE(adversarial) with the mask fixed  (the default)

The noise is that of PNI (He et al. 2019, CVPR), in its channel-wise form.
"""

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.parametrization import original, parametrised
from advprune.pruning.structures import named
from advprune.training.loop import Hook, Loop

FILTERS = named("filters")


class Noise(nn.Module):
    """Parametrization w ↦ w + α · η, one trained α per output channel; still without generator.

    η has the deviation of the whole weight and, like it, carries no gradient.
    """

    def __init__(self, weight: Tensor, scale: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(weight.new_full(FILTERS.shape(weight), scale))
        self.rng: torch.Generator | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Weight with fresh noise."""
        if self.rng is None:
            return weight
        drawn = torch.randn(weight.shape, generator=self.rng, device=weight.device)
        noise = weight.detach().std() * drawn
        return weight + FILTERS.spread(self.alpha, weight) * noise


class NoisyLasso(Hook):
    """Noise during the training steps only, and the lasso on the weights without it.

    `noises` are on the layers by name. `lasso` is the penalty's value at the start, in units of the
    loss.
    """

    def __init__(self, net: nn.Module, noises: dict[str, Noise], lasso: float) -> None:
        layers = mk.prunable(net, "unstructured")
        self.weights = {n: original(layers[n]) for n in noises}
        self.noises = noises
        self.factor = lasso / float(self.size().detach())

    def size(self) -> Tensor:
        """‖W‖₁ over all layers."""
        return torch.stack([weight.abs().sum() for weight in self.weights.values()]).sum()

    def groups(self, net: nn.Module) -> list[dict]:
        """Optimiser groups: weight decay would pull α to zero and is kept from it."""
        alphas = [noise.alpha for noise in self.noises.values()]
        known = {id(alpha) for alpha in alphas}
        others = [p for p in net.parameters() if id(p) not in known]
        return [{"params": others}, {"params": alphas, "weight_decay": 0.0}]

    def before_step(self, loop: Loop) -> None:
        """Turn the noise on, drawn from the epoch's generator."""
        for noise in self.noises.values():
            noise.rng = loop.rng

    def penalty(self, loop: Loop) -> Tensor:
        """The lasso, once per step."""
        return self.factor * self.size()

    def after_step(self, loop: Loop) -> None:
        """Turn the noise off: what is monitored is the net that is kept."""
        for noise in self.noises.values():
            noise.rng = None

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log the lasso and the mean scale of the noise."""
        alphas = torch.cat([noise.alpha.detach().abs() for noise in self.noises.values()])
        record["lasso"] = float(self.penalty(loop).detach())
        record["noise"] = float(alphas.mean())


class RobustSparseRegularization(Method):
    """Global magnitude after noisy, adversarial and l1-regularised training."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train with all three regularisers, then cut."""
        scale = task.params["noise"]
        with parametrised(net, "unstructured", lambda _, weight: Noise(weight, scale)) as noises:
            noisy = NoisyLasso(net, noises, task.params["lasso"])
            task.fit(net, "prune", hooks=[noisy], parameters=noisy.groups(net))
        units = mk.rank(mk.magnitudes(net, "unstructured"), task.sparsity, "global", floor=1)
        return mk.weight_masks(net, units, "unstructured")


METHOD = RobustSparseRegularization()
