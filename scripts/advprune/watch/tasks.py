"""The jobs of a run in the order in which they are done and shown. Without torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from advprune.base.files import read_json
from advprune.identity.results import Result
from advprune.plan.grid import Model
from advprune.watch.place import Run

# In the order of a model's chain, which is the order of the tables.
STEPS = [
    *("dataset", "corrupt", "fetch", "unavailable"),
    *("check_net", "pretrain", "external", "prune", "finetune"),
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
    """Every job that a model's row needs, in the order of `STEPS`.

    Of a released file that cannot be had there is a row, and no more.
    """
    tasks = list(run.results.chain(model))
    if item := run.protocol.released.get(model):
        file = run.layout.fetched.format(key=item.key)
        tasks.append(_without_card("fetch", file, partial(run.protocol.fetch, item.key)))
        if _is_absent(run.path(file)):
            row = run.layout.of_model("unavailable.json").format(**model.wildcards)
            asked = partial(run.verdicts.unavailable, model)
            shared = [task for task in tasks if task.model is None]
            tasks = [*shared, replace(_without_card("unavailable", row, asked), model=model)]
    return sorted(tasks, key=lambda task: STEPS.index(task.script))


def chains(run: Run) -> dict[Model, list[Result]]:
    """The chain of every model of a run."""
    return {model: chain(run, model) for model in run.protocol.models}


def _without_card(script: str, file: str, asked: Callable[[], Any]) -> Result:
    """What a job without a card makes: nothing is taken from it but whether a file is there."""
    return Result(script, (file,), "", asked)


def _is_absent(file: Path) -> bool:
    return file.is_file() and not read_json(file)["available"]
