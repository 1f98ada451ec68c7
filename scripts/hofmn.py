"""Run the tuned FMN on one shard of the test images and write each image's distance."""

from pathlib import Path

import pandas as pd

from advprune.attacks import adversarials
from advprune.attacks.fmn import fmn_in_batches
from advprune.attacks.hofmn import Tuned
from advprune.attacks.verdicts import write_table
from advprune.base.files import read_json, write_json
from advprune.base.progress import bar
from advprune.base.provenance import sha256
from advprune.compact.convert import for_attacks
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import HofmnSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "checkpoint", "tuned", "out", "card")
    parser.add_argument("--adversarials", type=Path, metavar="FILE", help="write the images too")
    job = jobs.start(parser, __file__, HofmnSpec, inputs=("data", "checkpoint", "tuned"))
    args, spec = job.args, job.spec
    columns, x, y = job.test_shard(spec.shard, spec.shard_size)
    net = for_attacks(job.checkpoint(args.checkpoint, job.test_data).net, x)
    config = Tuned.from_dict(read_json(args.tuned)).config
    with bar("FMN", total=len(x)) as shown:
        found = fmn_in_batches(
            net,
            x,
            y,
            steps=spec.steps,
            batch_size=spec.batch,
            config=config,
            precision=spec.precision,
            progress=shown.update,
        )
    table = columns | {
        "clean_correct": (found.distance > 0).tolist(),
        "distance": found.distance.double().tolist(),
    }
    write_table(args.out, pd.DataFrame(table))
    kept = adversarials.keep(args.adversarials, table, found.adversarial, job.test_data.name)
    write_json(args.card, job.card(sha256=sha256(args.out), **kept))


if __name__ == "__main__":
    cli.run(main)
