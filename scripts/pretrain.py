"""Train a dense robust net, the start of methods that prune after training: best epoch and last."""

import copy
from pathlib import Path

from advprune.base.seeds import generator
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.jobs.training_job import check_converged, last_epoch, trainer, training
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.plan.specs import PretrainSpec
from advprune.training.objective import make


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "out", "last")
    parser.add_argument("--extra", type=Path, help="more images to train with")
    job = jobs.start(parser, __file__, PretrainSpec, inputs=("data", "extra"))
    args, spec = job.args, job.spec
    net_spec = NetSpec.of(spec, **job.data.net_fields())
    net = build(net_spec, generator(spec.seed, "init")).to(job.device)
    with jobs.resume_state(args.out) as state:
        objective = make(spec.objective, spec.threat)
        loop = trainer(job, state)
        history = loop.fit(net, objective, spec.recipe, "pretrain", keep="best")
        check_converged(net)
        card = job.card(history=history, **training(loop))
        last = copy.deepcopy(net)
        last.load_state_dict(last_epoch(loop) or net.state_dict())
        save_checkpoint(args.last, last, net_spec, card=card)
        save_checkpoint(args.out, net, net_spec, card=card)


if __name__ == "__main__":
    cli.run(main)
