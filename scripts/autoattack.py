"""Run AutoAttack on one shard of the test images and write its verdict per image."""

import pandas as pd
import torch

from advprune.attacks.autoattack import Verdicts, autoattack
from advprune.attacks.verdicts import write_table
from advprune.base.files import write_json
from advprune.base.provenance import sha256
from advprune.base.resume import Resume
from advprune.base.seeds import derive
from advprune.compact.convert import for_attacks
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import AutoattackSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "checkpoint", "out", "warnings", "card")
    job = jobs.start(parser, __file__, AutoattackSpec, inputs=("data", "checkpoint"))
    args, spec = job.args, job.spec
    index, x, y = job.test_shard(spec.shard, spec.shard_size)
    net = for_attacks(job.checkpoint(args.checkpoint, job.test_data).net, x)
    with jobs.resume_state(args.out) as state:
        found = autoattack(
            net,
            x,
            y,
            eps=spec.eps,
            seed=derive(spec.seed, "autoattack", spec.shard) % 2**31,
            batch_size=spec.batch,
            version=spec.version,
            precision=spec.precision,
            resume=Resume(state, job.fingerprint()),
        )
        _write(job, index, y, found)


def _write(job: jobs.Job[AutoattackSpec], index: range, y: torch.Tensor, found: Verdicts) -> None:
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
