"""Measure what PGD leaves of a model's best and of its last epoch, on all test images."""

from pathlib import Path

from advprune.base.files import write_json
from advprune.base.seeds import generator
from advprune.compact.convert import for_attacks
from advprune.evaluation.pgd import measure
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.precision import EXACT, arithmetic
from advprune.plan.specs import PgdSpec, Threat


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "checkpoint", "out")
    parser.add_argument("--last", type=Path, metavar="FILE", help="net of the last epoch")
    job = jobs.start(parser, __file__, PgdSpec, inputs=("data", "checkpoint", "last"))
    args, spec = job.args, job.spec
    _, x, y = job.test_shard(0, len(job.test_data.test))
    threat = Threat(spec.eps, spec.step, spec.steps)
    found = {}
    for name, path in (("best", args.checkpoint), ("last", args.last)):
        if path:
            net = for_attacks(job.checkpoint(path, job.test_data).net, x[: spec.batch])
            rng = generator(spec.seed, "pgd", device=str(x.device))  # the same start for both
            with arithmetic(EXACT):
                found[name] = measure(net, x, y, threat, spec.batch, rng)
            cli.log.info("%s epoch: %s", name, found[name])
    write_json(args.out, {"images": len(x)} | found)
    job.write_card()


if __name__ == "__main__":
    cli.run(main)
