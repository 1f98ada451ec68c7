"""Ask attacks of other libraries about a model, on the first test images."""

import json
from pathlib import Path

import numpy as np

from advprune.attacks.opinions import ATTACKS, opinion
from advprune.attacks.verdicts import read_tables, robust_at, worst
from advprune.base.files import write_json
from advprune.base.seeds import derive
from advprune.compact.convert import for_attacks
from advprune.data.dataset import TestData
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import load_checkpoint
from advprune.plan.config import fraction


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="the model, as JSON")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--autoattack", type=Path, nargs="+", required=True)
    parser.add_argument("--hofmn", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    job = jobs.start(parser, __file__, kind=TestData)
    args, spec = job.args, job.spec
    eps = fraction(spec["eps"])
    _, x, y = job.test_shard(0, spec["images"])
    known = read_tables(args.hofmn)["distance"].to_numpy()[: len(x)]
    held = worst(read_tables(args.autoattack)["robust"][: len(x)], known, eps)
    net = for_attacks(load_checkpoint(args.checkpoint, job.device).net, x)
    rows = []
    for name in ATTACKS:
        seed = derive(spec["seed"], "opinions", name)
        distance = opinion(name, net, x, y, eps=eps, steps=spec["steps"], seed=seed)
        distance = distance.double().cpu().numpy()
        robust = robust_at(distance, eps)
        # by more than a thousandth: nearer by rounding is no better
        nearer = distance < 0.999 * known
        counts = {"images": len(x), "robust": int(robust.sum()), "nearer": int(nearer.sum())}
        counts["robust_so_far"] = int(held.sum())
        counts["newly_broken"] = int(np.sum(held & ~robust))
        rows.append(args.model | {"attack": name} | counts)
        cli.log.info("%s: %d of %d images robust", name, robust.sum(), len(x))
    write_json(args.out, rows)


if __name__ == "__main__":
    cli.run(main)
