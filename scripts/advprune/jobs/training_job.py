"""What the scripts that train share besides: the training loop on the job's data."""

from pathlib import Path

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
