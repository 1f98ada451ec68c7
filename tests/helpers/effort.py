"""Counting a method's epochs without training: its real search and finetuning on a tiny net."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch

from advprune.methods import base
from advprune.models.registry import build
from advprune.training.loop import Trainer
from helpers.methods import SHORT
from helpers.small import SMALL
from helpers.training import trainer

# measurements that train nothing, cut down
QUICK = SHORT | {"fsrp": {"batches": 1}, "mrs": {"epochs": 1, "batches": 1}}


class Read(Mapping):
    """Objectives by phase that remember which of them were read."""

    def __init__(self, objectives):
        self.objectives, self.read = objectives, set()

    def __getitem__(self, phase):
        self.read.add(phase)
        return self.objectives[phase]

    def __iter__(self):
        return iter(self.objectives)

    def __len__(self):
        return len(self.objectives)


class Figures(dict):
    """Record of an epoch in which nothing was measured: every figure is a half."""

    def __missing__(self, figure):
        return 0.5


def count(protocol, model, folder, monkeypatch):
    """Epochs of a model's fits by the recipe's phase, and the phases whose objectives were read.

    `Trainer.fit` trains nothing and stops nowhere: a search that may end early counts as planned.
    """
    epochs, read, running = Counter(), set(), []

    def fit(self, net, objective, recipe, phase, *others, **options):
        epochs[running[-1]] += recipe.epochs
        return [Figures() for _ in range(recipe.epochs)]

    monkeypatch.setattr(Trainer, "fit", fit)
    plan = protocol.plan(model)
    net = build(SMALL, torch.Generator().manual_seed(1))
    dense = build(SMALL, torch.Generator().manual_seed(1)).eval() if plan.teacher else None
    method, masks = base.load(plan.key), None
    for spec in (protocol.prune(model), protocol.finetune(model)):
        short = {k: v for k, v in QUICK.get(plan.key, {}).items() if k in spec.params}
        task = base.task(replace(spec, params=spec.params | short), trainer(folder), dense)
        task = replace(task, objectives=Read(task.objectives))
        running.append("finetune" if masks is not None else "prune")
        if masks is None:
            masks = method.prune(net, task)
        else:
            method.finetune(net, masks, task)
        read |= task.objectives.read
    return epochs, read
