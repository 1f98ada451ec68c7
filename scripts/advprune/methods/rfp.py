"""RFP (Lim et al. 2021, doi 10.1109/MLSP52302.2021.9596121): cut what answers to the attack.

pretrain   g minimises the robust loss: the net that sees robust features      (shared stage)
prune      D ← the robust dataset of g (Ilyas et al. 2019)
           f fresh, trained naturally on D
           S(l, j) = mean over attacked batches of mean |∂CE/∂W_l[j]|,  the images those of the task
           in every layer the filters of *largest* S go
           f trained naturally on D with the mask fixed, at a smaller rate;  its best epoch
no finetuning afterwards: it needs D, which lives in this phase only

With robust_dataset: false f is g itself, and the whole phase repairs it, on ordinary images.
"""

import dataclasses

from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.models.registry import init_weights
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.robust_dataset import robust_dataset
from advprune.pruning.saliency import attacked_batches, mean_gradients
from advprune.training.loop import Trainer


def reactions(net: nn.Module, task: Task) -> Scores:
    """Mean |gradient| of every filter's weights on attacked images, mean over batches."""
    params = task.params
    samples = attacked_batches(net, task.trainer, params["batch"], "scores", params["batches"])
    layers = [f"{name}.weight" for name in mk.prunable(net, task.structure)]

    def per_filter(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n.removesuffix(".weight"): gradients[n].abs().flatten(1).mean(1) for n in layers}

    return mean_gradients(net, samples, statistic=per_filter)


def divided(recipe: Recipe, share: float, factor: float) -> tuple[Recipe, Recipe]:
    """Recipes before and after the cut; the second has `share` of the epochs and `factor` x lr."""
    after = round(share * recipe.epochs)
    first = dataclasses.replace(recipe, epochs=recipe.epochs - after)
    return first, dataclasses.replace(recipe, epochs=after, lr=factor * recipe.lr)


class HighestGradient(Method):
    """The one criterion here that removes the largest scores."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train on the robust dataset, cut, and repair on it; or cut the pretrained net."""
        objective, params, trainer = task.objectives["prune"], task.params, task.trainer
        share = params["repair"] if params["robust_dataset"] else 1.0
        first, second = divided(task.recipes["prune"], share, params["repair_lr"])
        if params["robust_dataset"]:
            trainer = self.on_robust_dataset(net, task)
            init_weights(net, task.trainer.rng("init"))
            trainer.fit(net, objective, first, "prune-train")
        lowest = {name: -score for name, score in reactions(net, task).items()}
        masks = mk.weight_masks(net, mk.rank(lowest, task.sparsity), task.structure)
        mk.apply(net, masks)
        # a training like any finetuning, and so its best epoch is taken
        trainer.fit(net, objective, second, "prune-repair", hooks=[KeepMasked(masks)], keep="best")
        return masks

    @staticmethod
    def on_robust_dataset(net: nn.Module, task: Task) -> Trainer:
        """The task's trainer on the robust dataset of the pretrained net."""
        params, trainer = task.params, task.trainer
        images = trainer.train if params["images"] is None else trainer.train.take(params["images"])
        rng = trainer.rng("robust dataset")
        robust = robust_dataset(net, images, params["steps"], params["step"], rng)
        # extra images are no part of it: they show the features that it leaves out
        return dataclasses.replace(trainer, train=robust, extra=None)


METHOD = HighestGradient()
