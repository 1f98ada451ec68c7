"""R-ADMM (Ye et al. 2019, arXiv 1903.12561): adversarial training drawn to a sparse set by ADMM.

    pretrain   W minimises the robust loss f                                  (shared stage)
    prune      Z ← Π(W), U ← 0;  every batch a step on f(W) + Σ ρ/2 ‖W − Z + U‖²
               between cycles:  ρ ← 1.3 ρ,  Z ← Π(W + U),  U ← U + W − Z
               at the end the mask is the support of Π(W)
    finetune   W minimises f with the mask fixed                              (the default)

Π is the Euclidean projection of each layer: the largest weights, or the filters of largest norm.
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import admm
from advprune.pruning.masks import Masks


class RobustAdmm(Method):
    """Solver-based lowest weight magnitude, for single weights and for filters."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train the dense net towards the sparse set, then cut."""
        return admm.search(
            net,
            task.structure,
            task.sparsity,
            partial(task.fit, net, "prune"),
            task.mark,
            rho=task.params["rho"],
            growth=task.params["growth"],
            cycles=task.recipes["prune"].cycles,
        )


METHOD = RobustAdmm()
