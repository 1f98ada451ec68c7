"""Run AutoAttack on one shard of the test images and write its verdict per image."""

from pathlib import Path

import pandas as pd

from advprune.attacks import adversarials
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
    parser.add_argument("--adversarials", type=Path, metavar="FILE", help="write the images too")
    job = jobs.start(parser, __file__, AutoattackSpec, inputs=("data", "checkpoint"))
    args, spec = job.args, job.spec
    columns, x, y = job.test_shard(spec.shard, spec.shard_size)
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
        _write(job, columns, found)


def _write(job: jobs.Job[AutoattackSpec], columns: dict[str, list[int]], found: Verdicts) -> None:
    """Write the verdicts per image, AutoAttack's warnings, the images if asked for, the card."""
    args = job.args
    table = columns | {
        "clean_correct": found.clean_correct.tolist(),
        "robust": found.robust.tolist(),
        "broken_by": found.broken_by,
    }
    write_table(args.out, pd.DataFrame(table))
    kept = adversarials.keep(args.adversarials, table, found.adversarial, job.test_data.name)
    write_json(args.card, job.card(sha256=sha256(args.out), **kept))
    write_json(args.warnings, found.warnings)


if __name__ == "__main__":
    cli.run(main)
