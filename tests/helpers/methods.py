"""Tasks of methods as their YAMLs describe them, with short recipes."""

import torch

from advprune.base.record import from_dict
from advprune.methods.base import Task
from advprune.models.registry import build
from advprune.plan.methods import FINAL_PHASE, load_method
from advprune.plan.specs import Recipe
from advprune.training.objective import make
from helpers.small import SMALL
from helpers.training import THREAT, trainer

# settings that take long as published
SHORT = {
    "heracles": {"warmup": 2, "episodes": 3, "updates": 1, "hidden": 16},
    "obd": {"batches": 5},
    "rfp": {"steps": 50, "batches": 5},
    "taylor": {"batches": 5},
}


def task_for(key, folder, structure="unstructured", sparsity=0.8, **params):
    """A method's task as its YAML describes it, with short recipes."""
    entry = load_method(key)
    final = FINAL_PHASE[entry["stage"]]
    recipes = {
        phase: from_dict(Recipe, {**recipe, "epochs": 2, "batch": 16, "lr": 0.05})
        for phase, recipe in entry["recipes"].items()
    }
    return Task(
        structure=structure,
        sparsity=sparsity,
        params=entry["params"] | SHORT.get(key, {}) | params,
        objectives={p: make(o, THREAT) for p, o in entry["objectives"].items()},
        recipes=recipes,
        trainer=trainer(folder),
        final=final if final in recipes else None,
        teacher=build(SMALL, torch.Generator().manual_seed(1)) if entry.get("teacher") else None,
    )
