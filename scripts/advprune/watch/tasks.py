"""The jobs of a run in the order in which they are done and shown. Without torch."""

from collections.abc import Sequence

from advprune.identity.results import Result
from advprune.plan.grid import Model
from advprune.watch.place import Run

# In the order of a model's chain, which is the order of the tables.
STEPS = [
    *("dataset", "corrupt", "check_net", "pretrain", "external", "prune", "finetune"),
    *("audit", "pgd", "autoattack", "hofmn_tune", "hofmn", "reliability", "evaluate"),
    *("costs", "other_attacks", "corruptions"),
]
# What a step is for: when that is done, its own files are no longer needed.
SERVES = {"prune": "finetune"} | dict.fromkeys(
    ("external", "finetune", "audit", "pgd", "autoattack", "hofmn_tune", "hofmn", "reliability"),
    "evaluate",
)


def priorities(models: Sequence[Model]) -> dict[Model, int]:
    """Priority of every model's jobs: depth first, in the order of the grid.

    Of the jobs that are ready, those of the first model run first, and of these the last of its
    chain. What models share comes when none of them has a job that is ready.
    """
    return {model: (len(models) - i) * len(STEPS) for i, model in enumerate(models)}


def chain(run: Run, model: Model) -> list[Result]:
    """Every job that a model's row needs, in the order of `STEPS`."""
    return sorted(run.results.chain(model), key=lambda task: STEPS.index(task.script))


def chains(run: Run) -> dict[Model, list[Result]]:
    """The chain of every model of a run."""
    return {model: chain(run, model) for model in run.protocol.models}
