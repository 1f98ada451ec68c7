"""Find a method's masks: from a pretrained net, or from a fresh one where the method wants that."""

import copy
from pathlib import Path

from advprune.base.seeds import generator
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.jobs.training_job import check_converged, last_epoch, trainer, training
from advprune.methods import base
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.plan.specs import PruneSpec
from advprune.pruning import masks as mk


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "out")
    parser.add_argument("--pretrained", type=Path, help="checkpoint to start from")
    parser.add_argument("--extra", type=Path, help="more images to train with")
    job = jobs.start(parser, __file__, PruneSpec, inputs=("data", "pretrained", "extra"))
    args, spec = job.args, job.spec
    if args.pretrained:
        loaded = job.checkpoint(args.pretrained, job.data)
        net, net_spec = loaded.net, loaded.spec
    else:
        net_spec = NetSpec.of(spec, **job.data.net_fields())
        net = build(net_spec, generator(spec.seed, "init")).to(job.device)
    mk.check_sparsity(net, spec.structure, spec.sparsity)
    teacher = copy.deepcopy(net).eval() if spec.teacher else None
    with jobs.resume_state(args.out) as state:
        loop = trainer(job, state)
        task = base.task(spec, loop, teacher)
        masks = base.load(spec.method).prune(net, task)
        mk.apply(net, masks)
        check_converged(net)
        card = job.card(**training(loop, args.pretrained))
        # there is one where pruning is the training
        save_checkpoint(args.out, net, net_spec, masks, card, last_epoch(loop))


if __name__ == "__main__":
    cli.run(main)
