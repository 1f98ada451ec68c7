"""Measure a model's accuracy on corrupted test images, and on the same images as they are."""

import json
from pathlib import Path

from advprune.base.files import write_json
from advprune.compact.convert import for_attacks
from advprune.data.dataset import TestData
from advprune.evaluation.corruptions import CLEAN, load, measure
from advprune.jobs import cli
from advprune.jobs import job as jobs


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="the model, as JSON")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--corrupted", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    job = jobs.start(parser, __file__, kind=TestData)
    args, spec = job.args, job.spec
    _, x, y = job.test_shard(0, spec["images"])
    net = for_attacks(job.checkpoint(args.checkpoint).net, x[: spec["batch"]])
    images = {(CLEAN, 0): job.data().test.images[: spec["images"]]}
    for path in args.corrupted:
        images |= load(path, job.data().name)
    rows = measure(net, images, y, spec["batch"])
    write_json(args.out, [args.model | row for row in rows])


if __name__ == "__main__":
    cli.run(main)
