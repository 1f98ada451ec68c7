"""How much a job computes: what its time grows with from one configuration to another.

Counted in multiplications of one forward pass times passes times images. The numbers say nothing by
themselves: the estimate divides measured seconds by them, step by step.
"""

import functools

import torch

from advprune.models.graph import macs
from advprune.models.registry import NetSpec, build
from advprune.plan.config import split_size
from advprune.plan.grid import Model
from advprune.plan.specs import CheckNetSpec, PretrainSpec, PruneSpec
from advprune.watch.place import Run
from advprune.watch.tasks import Task

# passes per image of a loss beside those of its inner attack: forward, and backward for two
NATURAL, CLEAN_TOO = 3, 6
KINDS = 19 * 5  # corruptions times severities


def work(run: Run, task: Task, model: Model) -> float:
    """What a job's time grows with; 0 where that is nothing. `model` needs the job."""
    protocol, verdicts, config = run.protocol, run.verdicts, run.protocol.config
    net = _macs(run, model)
    tests = split_size(config, model.dataset, "test")
    tuning = verdicts.hofmn_tune(model)
    if task.step == "pretrain":
        spec = protocol.pretrain(model.dataset, model.arch, model.method, model.seed)
        return net * _training(run, model, spec.recipe.epochs, _pretraining(spec))
    if task.step in ("prune", "finetune"):
        search = protocol.prune(model) if task.step == "prune" else protocol.finetune(model)
        return net * sum(
            _training(run, model, recipe.epochs, _passes(search, phase))
            for phase, recipe in search.recipes.items()
        )
    shard = _shard(run, task, model, tests)
    images = {
        "autoattack": shard,
        "hofmn": shard * verdicts.hofmn(model).steps,
        "hofmn_tune": tuning.trials * tuning.steps * tuning.images,
        "pgd": tests * verdicts.pgd(model).steps * (1 + (model.method in protocol.methods)),
        "reliability": min(tests, verdicts.reliability(model).images)
        * verdicts.reliability(model).steps,
    }
    if task.step == "other_attacks":
        other = verdicts.other_attacks(model)
        images["other_attacks"] = min(tests, other.images) * other.steps
    if task.step in ("corruptions", "corrupt"):
        images |= dict.fromkeys(("corruptions", "corrupt"), verdicts.corruptions(model).images)
    return float(net * images.get(task.step, 0))


def _shard(run: Run, task: Task, model: Model, tests: int) -> int:
    """Images of an attack's shard: the last may be smaller."""
    if task.step not in ("autoattack", "hofmn"):
        return 0
    size: int = run.verdicts.evaluation[task.step]["shard"]
    number = int(task.log.removesuffix(".log").rpartition("-")[2])
    return min(size, tests - number * size)


def _training(run: Run, model: Model, epochs: int, passes: int) -> int:
    return epochs * passes * split_size(run.protocol.config, model.dataset, "train")


def _passes(spec: PruneSpec, phase: str) -> int:
    objective = spec.objectives.get(phase)
    return _of_loss(objective["name"] if objective else "", spec.threat.steps)


def _pretraining(spec: PretrainSpec) -> int:
    return _of_loss(spec.objective["name"], spec.threat.steps)


def _of_loss(name: str, steps: int) -> int:
    """Passes of one step of training: two per step of the inner attack, and the loss's own."""
    if name == "natural":
        return NATURAL
    attack = 1 if name == "fgsm" else steps
    return 2 * attack + (NATURAL if name in ("pgd", "fgsm") else CLEAN_TOO)


def _macs(run: Run, model: Model) -> int:
    return _counted(run.protocol.net(model.dataset, model.arch))


@functools.cache
def _counted(spec: CheckNetSpec) -> int:
    moments = {"mean": (0.5,) * spec.channels, "std": (0.5,) * spec.channels}
    net = build(NetSpec.of(spec, **moments), torch.Generator())
    return sum(macs(net, (spec.channels, spec.size, spec.size)).values())
