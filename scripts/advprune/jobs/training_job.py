"""What the scripts that train share besides: the training loop on the job's data."""

from collections import Counter
from pathlib import Path
from typing import Any

from torch import Tensor

from advprune.base.files import read_json
from advprune.data.batches import Augment
from advprune.jobs.job import Job
from advprune.plan.specs import PretrainSpec, PruneSpec
from advprune.training.loop import Trainer


def trainer(job: Job[PretrainSpec] | Job[PruneSpec], state_dir: Path) -> Trainer:
    """Training loop on the job's device, under the threat and with the seed of its specification.

    Resume files in `state_dir` are taken up only if they are of the very same job.
    """
    return Trainer(
        train=job.data.train.to(job.device),
        val=job.data.val.to(job.device),
        augment=Augment(job.data.pad, job.data.flip),
        threat=job.spec.threat,
        seed=job.spec.seed,
        state_dir=state_dir,
        fingerprint=job.fingerprint(),
    )


def training(trainer: Trainer, parent: Path | None = None) -> dict[str, Any]:
    """Card fields: how the net was trained, what is in the card beside its parent included.

    `epochs` are those that were run, by phase, the rounds of a search together. `best` has for each
    phase that kept its best epoch: its number (from 1), of how many, and the PGD accuracies on
    validation images of it and of the last. `marks` are lines about what went wrong.
    """
    before = read_json(parent.with_suffix(".json")) if parent else {}
    epochs, best = Counter(before.get("epochs", {})), dict(before.get("best", {}))
    for name, end in trainer.ends.items():
        phase = name.partition("-")[0]
        epochs[phase] += end.epochs
        if end.keep == "best":
            figures = {"val_pgd": end.val_pgd, "val_pgd_last": end.val_pgd_last}
            best[phase] = {"epoch": end.taken, "of": end.epochs} | figures
    marks = [*before.get("marks", []), *trainer.marks]
    return {"epochs": dict(epochs), "best": best, "marks": marks}


def last_epoch(trainer: Trainer) -> dict[str, Tensor] | None:
    """Tensors of the last epoch of the training that kept its best; None if they are the same."""
    return next((end.last for end in trainer.ends.values() if end.keep == "best"), None)
