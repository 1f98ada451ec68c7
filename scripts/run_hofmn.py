"""Run the tuned FMN on one shard of the test images and write each image's distance."""

from pathlib import Path

import pandas as pd

from advprune.attacks.fmn import fmn_in_batches
from advprune.attacks.hofmn import Tuned
from advprune.attacks.verdicts import write_table
from advprune.base.files import read_json, write_json
from advprune.base.progress import bar
from advprune.base.provenance import sha256
from advprune.compact.convert import for_attacks
from advprune.data.dataset import TestData
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.precision import EXACT


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, required=True, help="configuration of the attack")
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True, help="where the numbers come from")
    job = jobs.start(parser, __file__, inputs=("data", "checkpoint", "tuned"), kind=TestData)
    args, spec = job.args, job.spec
    index, x, y = job.test_shard(args.shard, spec["shard"])
    net = for_attacks(job.checkpoint(args.checkpoint).net, x)
    config = Tuned.from_dict(read_json(args.tuned)).config
    with bar("FMN", total=len(x)) as shown:
        found = fmn_in_batches(
            net,
            x,
            y,
            steps=spec["steps"],
            batch_size=spec["batch"],
            config=config,
            precision=spec.get("precision", EXACT),
            progress=shown.update,
        )
    table = {
        "index": index,
        "label": y.tolist(),
        "clean_correct": (found.distance > 0).tolist(),
        "distance": found.distance.double().tolist(),
    }
    write_table(args.out, pd.DataFrame(table))
    write_json(args.card, job.card(sha256=sha256(args.out)))


if __name__ == "__main__":
    cli.run(main)
