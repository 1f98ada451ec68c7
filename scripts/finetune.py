"""Train what pruning left, masks fixed, and write the model's final checkpoint."""

from pathlib import Path

from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.jobs.training_job import trainer
from advprune.methods import base
from advprune.models.checkpoint import save_checkpoint
from advprune.plan.specs import FinetuneSpec
from advprune.pruning import masks as mk


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "pruned", "out")
    parser.add_argument("--teacher", type=Path, help="dense net to learn from")
    parser.add_argument("--extra", type=Path, help="more images to train with")
    job = jobs.start(parser, __file__, FinetuneSpec, inputs=("data", "pruned", "teacher", "extra"))
    args, spec = job.args, job.spec
    loaded = job.checkpoint(args.pruned, job.data)
    teacher = job.checkpoint(args.teacher, job.data).net if spec.teacher else None
    with jobs.resume_state(args.out) as state:
        task = base.task(spec, trainer(job, state), teacher)
        base.load(spec.method).finetune(loaded.net, loaded.masks, task)
        broken = mk.violations(loaded.net, loaded.masks)
        if broken:
            raise RuntimeError(f"{spec.method} moved removed weights of {', '.join(broken)}")
        save_checkpoint(args.out, loaded.net, loaded.spec, loaded.masks, job.card())


if __name__ == "__main__":
    cli.run(main)
