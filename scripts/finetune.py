"""Train what pruning left, masks fixed, and write the model's best and its last epoch."""

import copy
from pathlib import Path

from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.jobs.training_job import check_converged, last_epoch, trainer, training
from advprune.methods import base
from advprune.models.checkpoint import save_checkpoint
from advprune.plan.specs import FinetuneSpec
from advprune.pruning import masks as mk


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "pruned", "out", "last")
    parser.add_argument("--teacher", type=Path, help="dense net to learn from")
    parser.add_argument("--extra", type=Path, help="more images to train with")
    job = jobs.start(parser, __file__, FinetuneSpec, inputs=("data", "pruned", "teacher", "extra"))
    args, spec = job.args, job.spec
    loaded = job.checkpoint(args.pruned, job.data)
    teacher = job.checkpoint(args.teacher, job.data).net if spec.teacher else None
    with jobs.resume_state(args.out) as state:
        loop = trainer(job, state)
        task = base.task(spec, loop, teacher)
        base.load(spec.method).finetune(loaded.net, loaded.masks, task)
        check_converged(loaded.net)
        last = copy.deepcopy(loaded.net)
        # where pruning was the training, nothing has been trained here
        tensors = last_epoch(loop) if loop.ends else loaded.last
        if tensors is not None:
            last.load_state_dict(tensors)
        card = job.card(**training(loop, args.pruned))
        for path, net in ((args.last, last), (args.out, loaded.net)):
            broken = mk.violations(net, loaded.masks)
            if broken:
                raise RuntimeError(f"{spec.method} moved removed weights of {', '.join(broken)}")
            save_checkpoint(path, net, loaded.spec, loaded.masks, card)


if __name__ == "__main__":
    cli.run(main)
