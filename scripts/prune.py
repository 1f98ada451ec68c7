"""Find a method's masks: from a pretrained net, or from a fresh one where the method wants that."""

import copy
from pathlib import Path

from advprune.base.seeds import generator
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.methods import base
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--pretrained", type=Path, help="checkpoint to start from")
    parser.add_argument("--out", type=Path, required=True)
    job = jobs.start(parser, __file__, inputs=("data", "pretrained"))
    args, spec, data = job.args, job.spec, job.data()
    if args.pretrained:
        loaded = job.checkpoint(args.pretrained)
        net, net_spec = loaded.net, loaded.spec
    else:
        net_spec = NetSpec(spec["arch"], spec["width"], **data.net_fields())
        net = build(net_spec, generator(spec["seed"], "init")).to(job.device)
    teacher = copy.deepcopy(net).eval() if spec["teacher"] else None
    with jobs.resume_state(args.out) as state:
        task = base.task(spec, job.trainer(data, spec["seed"], state), teacher)
        masks = base.load(spec["method"]).prune(net, task)
        mk.apply(net, masks)
        save_checkpoint(args.out, net, net_spec, masks, job.card())


if __name__ == "__main__":
    cli.run(main)
