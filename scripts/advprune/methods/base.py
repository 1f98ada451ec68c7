"""The interface of a pruning method.

A method turns a net (robustly pretrained for methods after training, fresh for the others) into a
sparse one: `prune` changes the net in place and returns the masks; `finetune` then trains what is
left. Data, objectives, recipes, the training loop, attacks and exact masks come from the library;
a method is a score, a projection or a schedule on top of them.
"""

import importlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from advprune.plan.specs import FinetuneSpec, PruneSpec, Recipe
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks
from advprune.training.loop import Trainer
from advprune.training.objective import Objective, make

log = logging.getLogger("advprune")


@dataclass(frozen=True)
class Task:
    """What a method is asked to do, and what it may use.

    `sparsity` is the share to remove, in [0, 1). `params` are the hyper-parameters of the method's
    YAML. `objectives` and `recipes` have one entry per phase; `final` names the phase in which
    masked training happens (None for methods that prune while they train). `teacher` is the dense
    net that the method starts from, in evaluation mode, for methods whose YAML asks for it.
    """

    structure: str
    sparsity: float
    params: Mapping[str, Any]
    objectives: Mapping[str, Objective]
    recipes: Mapping[str, Recipe]
    trainer: Trainer
    final: str | None
    teacher: nn.Module | None = None

    def fit(
        self,
        net: nn.Module,
        phase: str,
        name: str | None = None,
        *,
        objective: Objective | None = None,
        recipe: Recipe | None = None,
        **options: Any,
    ) -> list[dict[str, float]]:
        """Train `net` through one phase, with that phase's objective and recipe if none is given.

        A method that goes through a phase several times gives each pass a `name`: randomness and
        resume files follow it. A search ("prune") keeps its last epoch, because what it looks for
        is there only at its end; a training keeps its best.
        """
        objective = objective or self.objectives[phase]
        recipe = recipe or self.recipes[phase]
        keep = "last" if phase == "prune" else "best"
        return self.trainer.fit(net, objective, recipe, name or phase, keep=keep, **options)

    def mark(self, text: str) -> None:
        """Warn, in the log and in the model's card, of a search that did not do what it should.

        `text` is one line with the figure: "the residual is 1.53 at the end".
        """
        log.warning("%s", text)
        self.trainer.marks.append(text)

    @property
    def dense(self) -> nn.Module:
        """The teacher of a method whose YAML asks for it; where none was given, a ValueError."""
        if self.teacher is None:
            raise ValueError("no teacher was given")
        return self.teacher


class Method(ABC):
    """One pruning method; its module defines the instance `METHOD`."""

    @abstractmethod
    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Find the masks, leaving in `net` the weights that finetuning shall start from."""

    def finetune(self, net: nn.Module, masks: Masks, task: Task) -> None:
        """Masked training of the remaining weights; nothing where pruning was the training."""
        if task.final is not None:
            task.fit(net, task.final, hooks=[KeepMasked(masks)])


def load(key: str) -> Method:
    """The method whose module is `advprune.methods.<key>`."""
    return importlib.import_module(f"advprune.methods.{key}").METHOD


def task(
    spec: PruneSpec | FinetuneSpec, trainer: Trainer, teacher: nn.Module | None = None
) -> Task:
    """Task from a pruning or finetuning specification."""
    return Task(
        structure=spec.structure,
        sparsity=spec.sparsity,
        params=spec.params,
        objectives={p: make(o, trainer.threat) for p, o in spec.objectives.items()},
        recipes=spec.recipes,
        trainer=trainer,
        final=spec.final if isinstance(spec, FinetuneSpec) else None,
        teacher=teacher,
    )
