"""What the scripts that train share besides: the training loop on the job's data."""

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.data import npz
from advprune.data.batches import Augment, Extra
from advprune.data.dataset import Split
from advprune.jobs.job import Job
from advprune.models.checkpoint import is_finite
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
        extra=extra_images(job),
        precision=job.spec.precision,
    )


def training(trainer: Trainer, parent: Path | None = None) -> dict[str, Any]:
    """Card fields: how the net was trained, what is in the card beside its parent included.

    `epochs` are those that were run, by phase, the rounds of a search together. `best` has for each
    phase that kept its best epoch: its number (from 1), of how many, and the PGD accuracies on
    validation images of it and of the last. `marks` are lines about what a reader must know, each
    once.
    """
    before = read_json(parent.with_suffix(".json")) if parent else {}
    epochs, best = Counter(before.get("epochs", {})), dict(before.get("best", {}))
    for name, end in trainer.ends.items():
        phase = name.partition("-")[0]
        epochs[phase] += end.epochs
        if end.keep == "best":
            figures = {"val_pgd": end.val_pgd, "val_pgd_last": end.val_pgd_last}
            best[phase] = {"epoch": end.taken, "of": end.epochs} | figures
    marks = list(dict.fromkeys([*before.get("marks", []), *trainer.marks]))
    return {"epochs": dict(epochs), "best": best, "marks": marks}


def check_converged(net: nn.Module) -> None:
    """Refuse a net that training has destroyed, before hours are spent on attacking it."""
    if not is_finite(net):
        raise UserError("the training diverged: the net holds numbers that are not finite")


def last_epoch(trainer: Trainer) -> dict[str, Tensor] | None:
    """Tensors of the last epoch of the training that kept its best; None if they are the same."""
    return next((end.last for end in trainer.ends.values() if end.keep == "best"), None)


def extra_images(job: Job[PretrainSpec] | Job[PruneSpec]) -> Extra | None:
    """Images of `--extra`, uint8 on the job's device; None where the specification wants none."""
    ratio, path = job.spec.extra, job.args.extra
    if not ratio:
        return None
    if path is None:
        raise UserError(
            f"the specification wants extra images ({ratio:g} of a batch): --extra FILE"
        )
    data = job.data
    npz.check(path, data.train.images.shape[1:], data.classes)
    images, labels = (torch.from_numpy(array) for array in npz.read(path))
    # a view: gigabytes need not be copied for another order of the axes
    return Extra(Split(images.permute(0, 3, 1, 2), labels).to(job.device), ratio)
