"""Run AutoAttack on one shard of the test images and write its verdict per image."""

from pathlib import Path

import pandas as pd
import torch

from advprune.attacks.autoattack import Verdicts, autoattack
from advprune.attacks.verdicts import write_table
from advprune.base.files import write_json
from advprune.base.provenance import sha256
from advprune.base.resume import Resume
from advprune.base.seeds import derive
from advprune.compact.convert import for_attacks
from advprune.data.dataset import TestData
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.precision import EXACT
from advprune.plan.config import fraction


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="table of verdicts")
    parser.add_argument("--warnings", type=Path, required=True, help="AutoAttack's own doubts")
    parser.add_argument("--card", type=Path, required=True, help="where the numbers come from")
    job = jobs.start(parser, __file__, inputs=("data", "checkpoint"), kind=TestData)
    args, spec = job.args, job.spec
    index, x, y = job.test_shard(args.shard, spec["shard"])
    net = for_attacks(job.checkpoint(args.checkpoint).net, x)
    with jobs.resume_state(args.out) as state:
        found = autoattack(
            net,
            x,
            y,
            eps=fraction(spec["eps"]),
            seed=derive(spec["seed"], "autoattack", args.shard) % 2**31,
            batch_size=spec["batch"],
            version=spec["version"],
            precision=spec.get("precision", EXACT),
            resume=Resume(state, job.fingerprint()),
        )
        _write(job, index, y, found)


def _write(job: jobs.Job, index: range, y: torch.Tensor, found: Verdicts) -> None:
    """Write the verdicts per image, AutoAttack's warnings, and the card."""
    args = job.args
    table = {
        "index": index,
        "label": y.tolist(),
        "clean_correct": found.clean_correct.tolist(),
        "robust": found.robust.tolist(),
        "broken_by": found.broken_by,
    }
    write_table(args.out, pd.DataFrame(table))
    write_json(args.card, job.card(sha256=sha256(args.out)))
    write_json(args.warnings, found.warnings)


if __name__ == "__main__":
    cli.run(main)
