"""Corrupt the first test images of a dataset, by every corruption of a family."""

import cv2

from advprune.data import imagenet_c
from advprune.evaluation import corruptions
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import CorruptSpec


def main() -> None:
    """Run the job described by the command line."""
    job = jobs.start(jobs.parser(__doc__, "data", "out"), __file__, CorruptSpec, inputs=("data",))
    cv2.setNumThreads(job.args.threads)
    data = job.test_data
    images = data.test.images[: job.spec.images]
    found = {}
    for name in imagenet_c.names(job.spec.family):
        for severity in imagenet_c.SEVERITIES:
            found[name, severity] = imagenet_c.corrupted(images, data.name, name, severity)
        cli.log.info("%s: %d images", name, len(images))
    corruptions.save(job.args.out, found, data.name)
    job.write_card()


if __name__ == "__main__":
    cli.run(main)
