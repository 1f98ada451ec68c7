"""Look for signs that the attacks on one model have failed, and attack again what HO-FMN missed."""

from pathlib import Path

import torch

from advprune.attacks.boundary import misclassified
from advprune.attacks.hofmn import Tuned
from advprune.attacks.indicators import indicators
from advprune.attacks.recheck import missed, recheck
from advprune.attacks.verdicts import read_tables
from advprune.base.files import read_json, write_json
from advprune.base.seeds import derive, generator
from advprune.compact.convert import for_attacks
from advprune.data.dataset import TestData
from advprune.evaluation.reliability import INDICATORS
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import load_checkpoint
from advprune.plan.config import fraction


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, required=True, help="configuration of HO-FMN")
    parser.add_argument("--autoattack", type=Path, nargs="+", required=True)
    parser.add_argument("--hofmn", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    job = jobs.start(parser, __file__, kind=TestData)
    args, spec = job.args, job.spec
    eps, config = fraction(spec["eps"]), Tuned.from_dict(read_json(args.tuned)).config
    broken = read_tables(args.autoattack)
    rows = missed(broken, read_tables(args.hofmn), eps)
    _, x, y = job.test_shard(0, len(broken))
    saved = load_checkpoint(args.checkpoint, job.device).net
    net = for_attacks(saved, x[: spec["images"]])

    cli.log.info("HO-FMN missed %d images", len(rows))
    places = torch.tensor(rows["index"].to_numpy(), device=job.device)
    again = recheck(
        net,
        x[places],
        y[places],
        rows,
        eps=eps,
        steps=spec["fmn_steps"],
        config=config,
        seed=derive(spec["seed"], "recheck") % 2**31,
        batch_size=spec["batch"],
        version=spec["version"],
    )
    x, y = x[: spec["images"]], y[: spec["images"]]
    counts, images = dict.fromkeys(INDICATORS, 0), 0
    rng = generator(spec["seed"], "indicators", device=str(job.device))
    for some, labels in zip(x.split(spec["batch"]), y.split(spec["batch"]), strict=True):
        with torch.no_grad():
            right = ~misclassified(saved(some), labels)
        if not right.any():
            continue
        images += int(right.sum())
        settings = {"eps": eps, "steps": spec["steps"], "config": config, "generator": rng}
        active = indicators(net, saved, some[right], labels[right], **settings)
        counts = {name: counts[name] + int(active[name].sum()) for name in INDICATORS}
        cli.log.info("indicators: %d images", images)
    write_json(args.out, {"images": images, "indicators": counts, "missed": again})


if __name__ == "__main__":
    cli.run(main)
