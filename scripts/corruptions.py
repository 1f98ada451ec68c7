"""Measure a model's accuracy on corrupted test images, and on the same images as they are."""

from advprune.base.files import write_json
from advprune.base.record import to_dict
from advprune.compact.convert import for_attacks
from advprune.evaluation.corruptions import CLEAN, load, measure
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import CorruptionsSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "checkpoint", "out", lists="corrupted")
    job = jobs.start(parser, __file__, CorruptionsSpec, inputs=("data", "checkpoint", "corrupted"))
    args, spec = job.args, job.spec
    _, x, y = job.test_shard(0, spec.images)
    net = for_attacks(job.checkpoint(args.checkpoint, job.test_data).net, x[: spec.batch])
    images = {(CLEAN, 0): job.test_data.test.images[: spec.images]}
    for path in args.corrupted:
        images |= load(path, job.test_data.name)
    rows = measure(net, images, y, spec.batch)
    write_json(args.out, [to_dict(spec.row) | row for row in rows])
    job.write_card()


if __name__ == "__main__":
    cli.run(main)
