"""Look for signs that the attacks on one model have failed, and attack again what HO-FMN missed."""

from typing import Any

import torch
from torch import Tensor, nn

from advprune.attacks.boundary import misclassified
from advprune.attacks.fmn import FmnConfig
from advprune.attacks.hofmn import Tuned
from advprune.attacks.indicators import indicators
from advprune.attacks.recheck import missed, recheck
from advprune.attacks.verdicts import read_tables
from advprune.base.files import read_json, write_json
from advprune.base.seeds import derive, generator
from advprune.compact.convert import for_attacks
from advprune.evaluation.reliability import INDICATORS
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import ReliabilitySpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(
        __doc__, "data", "checkpoint", "tuned", "out", lists="autoattack distances"
    )
    job = jobs.start(
        parser,
        __file__,
        ReliabilitySpec,
        inputs=("data", "checkpoint", "tuned", "autoattack", "distances"),
    )
    args, spec = job.args, job.spec
    config = Tuned.from_dict(read_json(args.tuned)).config
    broken = read_tables(args.autoattack)
    rows = missed(broken, read_tables(args.distances), spec.eps)
    _, x, y = job.test_shard(0, len(broken))
    saved = job.checkpoint(args.checkpoint, job.test_data).net
    net = for_attacks(saved, x[: spec.images])

    cli.log.info("HO-FMN missed %d images", len(rows))
    places = torch.tensor(rows["index"].to_numpy(), device=job.device)
    again = recheck(
        net,
        x[places],
        y[places],
        rows,
        eps=spec.eps,
        steps=spec.fmn_steps,
        config=config,
        seed=derive(spec.seed, "recheck") % 2**31,
        batch_size=spec.batch,
        version=spec.version,
    )
    counted = _indicators(net, saved, x[: spec.images], y[: spec.images], spec, config)
    write_json(args.out, counted | {"missed": again})
    job.write_card()


def _indicators(
    net: nn.Module, saved: nn.Module, x: Tensor, y: Tensor, spec: ReliabilitySpec, config: FmnConfig
) -> dict[str, Any]:
    """Count the indicators of attack failure on the images that the net classifies correctly."""
    counts, images = dict.fromkeys(INDICATORS, 0), 0
    rng = generator(spec.seed, "indicators", device=str(x.device))
    for some, labels in zip(x.split(spec.batch), y.split(spec.batch), strict=True):
        with torch.no_grad():
            right = ~misclassified(saved(some), labels)
        if not right.any():
            continue
        images += int(right.sum())
        settings = {"eps": spec.eps, "steps": spec.steps, "config": config, "generator": rng}
        active = indicators(net, saved, some[right], labels[right], **settings)
        counts = {name: counts[name] + int(active[name].sum()) for name in INDICATORS}
        cli.log.info("indicators: %d images", images)
    return {"images": images, "indicators": counts}


if __name__ == "__main__":
    cli.run(main)
