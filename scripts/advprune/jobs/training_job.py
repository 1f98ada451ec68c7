"""What the scripts that train share besides: the training loop on the job's data."""

from pathlib import Path

import torch

from advprune.base.errors import UserError
from advprune.data import npz
from advprune.data.batches import Augment, Extra
from advprune.data.dataset import Split
from advprune.jobs.job import Job
from advprune.plan.specs import PretrainSpec, PruneSpec
from advprune.training.loop import Trainer


def trainer(job: Job[PretrainSpec] | Job[PruneSpec], state_dir: Path) -> Trainer:
    """Training loop on the job's device, under the threat and with the seed of its specification.

    Resume files in `state_dir` are taken up only if they are of the very same job.
    """
    extra = extra_images(job)
    return Trainer(
        train=job.data.train.to(job.device),
        val=job.data.val.to(job.device),
        augment=Augment(job.data.pad, job.data.flip),
        threat=job.spec.threat,
        seed=job.spec.seed,
        state_dir=state_dir,
        fingerprint=job.fingerprint(),
        marks=[extra_mark(extra)] if extra else [],
        extra=extra,
    )


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


def extra_mark(extra: Extra) -> str:
    """Line for the card: "trained with 500,000 extra images, half of every batch"."""
    share = "half" if extra.ratio == 0.5 else f"{100 * extra.ratio:g} %"
    return f"trained with {len(extra.split):,} extra images, {share} of every batch"
