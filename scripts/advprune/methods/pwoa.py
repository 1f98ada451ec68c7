"""PwoA (Jian et al. 2022, arXiv 2210.04311): prune a robust net without adversarial examples.

    pretrain   W minimises a robust loss; a frozen copy of the net is the teacher  (shared stage)
    prune      f = a T² mean KL(teacher ‖ W),  on clean images and without labels
               Z ← Π(W), U ← 0;  every batch a step on f(W) + Σ ρ/2 ‖W − Z + U‖²
               between cycles:  ρ ← min(1, 1.35 ρ),  Z ← Π(W + U),  U ← U + W − Z
               at the end the mask is the support of Π(W)
    finetune   W minimises f + λx Σ nHSIC(X, Zj) − λy Σ nHSIC(Y, Zj)  with the mask fixed,
               over hidden layers Zj:  forget the image, remember its class

Π is the Euclidean projection of each layer: the largest weights, or the filters of largest norm.
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import admm
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks
from advprune.training.distill import Bottleneck, Distilled
from advprune.training.objective import Objective


class PruningWithoutAdversarialExamples(Method):
    """ADMM and finetuning on the teacher's soft labels of clean images."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train the dense net towards the sparse set under the teacher's eyes, then cut."""
        params = task.params
        objective = self.objective(task, bottleneck=params["hsic_in_admm"])
        return admm.search(
            net,
            task.structure,
            task.sparsity,
            partial(task.fit, net, "prune", objective=objective),
            task.mark,
            rho=params["rho"],
            growth=params["growth"],
            cycles=task.recipes["prune"].cycles,
            cap=params["rho_cap"],
        )

    def finetune(self, net: nn.Module, masks: Masks, task: Task) -> None:
        """Masked training on the teacher's soft labels and the bottleneck."""
        objective = self.objective(task, bottleneck=True)
        task.fit(net, "finetune", objective=objective, hooks=[KeepMasked(masks)])

    @staticmethod
    def objective(task: Task, bottleneck: bool) -> Objective:
        """The method's loss on clean images, with or without the HSIC terms."""
        params, teacher = task.params, task.dense
        # the authors' mean runs over the classes as well as over the batch
        classes = len(list(mk.weights(teacher).values())[-1])
        weight = params["distillation"] / classes
        distilled = Distilled(teacher, params["temperature"], weight)
        if not bottleneck:
            return distilled
        return Bottleneck(distilled, params["lambda_x"], params["lambda_y"], params["sigma"])


METHOD = PruningWithoutAdversarialExamples()
