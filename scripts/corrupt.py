"""Corrupt the first test images of a dataset, by every corruption of a family."""

from pathlib import Path

import cv2

from advprune.data import imagenet_c
from advprune.data.dataset import TestData
from advprune.evaluation import corruptions
from advprune.jobs import cli
from advprune.jobs import job as jobs


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--family", required=True, help="noise, blur, weather or digital")
    parser.add_argument("--out", type=Path, required=True)
    job = jobs.start(parser, __file__, kind=TestData)
    cv2.setNumThreads(job.args.threads)
    data = job.data()
    images = data.test.images[: job.spec["images"]]
    found = {}
    for name in imagenet_c.names(job.args.family):
        for severity in imagenet_c.SEVERITIES:
            found[name, severity] = imagenet_c.corrupted(images, data.name, name, severity)
        cli.log.info("%s: %d images", name, len(images))
    corruptions.save(job.args.out, found, data.name)


if __name__ == "__main__":
    cli.run(main)
