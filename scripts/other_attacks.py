"""Attack a model with what other libraries have, on the first test images."""

import numpy as np

from advprune.attacks.other_libraries import ATTACKS, distance_by
from advprune.attacks.verdicts import read_tables, robust_at, worst
from advprune.base.files import read_json, write_json
from advprune.base.record import to_dict
from advprune.base.seeds import derive
from advprune.compact.convert import for_attacks
from advprune.evaluation.best_known import area, nearest
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import OtherAttacksSpec


def main() -> None:
    """Run the job described by the command line."""
    files = ("data", "checkpoint", "reliability", "out")
    parser = jobs.parser(__doc__, *files, lists="autoattack distances")
    inputs = ("data", "checkpoint", "reliability", "autoattack", "distances")
    job = jobs.start(parser, __file__, OtherAttacksSpec, inputs=inputs)
    args, spec = job.args, job.spec
    _, x, y = job.test_shard(0, spec.images)
    broken, near = read_tables(args.autoattack), read_tables(args.distances)
    known = near["distance"].to_numpy()[: len(x)]
    robust_so_far = worst(broken["robust"][: len(x)], known, spec.eps)
    missed = read_json(args.reliability)["missed"]
    best = nearest(broken, near, missed, spec.eps).min(axis=1).to_numpy()[: len(x)]
    area_so_far = area(best, 2 * spec.eps)
    net = for_attacks(job.checkpoint(args.checkpoint, job.test_data).net, x)
    rows = []
    for name in ATTACKS:
        seed = derive(spec.row.seed, "other_attacks", name)
        distance = distance_by(name, net, x, y, eps=spec.eps, steps=spec.steps, seed=seed)
        distance = distance.double().cpu().numpy()
        robust = robust_at(distance, spec.eps)
        # by more than a thousandth: nearer by rounding is no better
        nearer = distance < 0.999 * known
        counts = {"images": len(x), "robust": int(robust.sum()), "nearer": int(nearer.sum())}
        counts["robust_so_far"] = int(robust_so_far.sum())
        counts["newly_broken"] = int(np.sum(robust_so_far & ~robust))
        best = np.minimum(best, distance)
        areas = {"area_so_far": area_so_far, "area": area(best, 2 * spec.eps)}
        rows.append(to_dict(spec.row) | {"attack": name} | counts | areas)
        cli.log.info("%s: %d of %d images robust", name, robust.sum(), len(x))
    write_json(args.out, rows)
    job.write_card()


if __name__ == "__main__":
    cli.run(main)
