"""Tune FMN for one net on validation images: the configuration that HO-FMN attacks with."""

from advprune.attacks.hofmn import tune
from advprune.base.files import write_json
from advprune.base.provenance import sha256
from advprune.base.seeds import derive
from advprune.compact.convert import for_attacks
from advprune.data.batches import to_float
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.plan.specs import HofmnTuneSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "data", "checkpoint", "out", "card")
    job = jobs.start(parser, __file__, HofmnTuneSpec, inputs=("data", "checkpoint"))
    args, spec = job.args, job.spec
    images = job.data.val.take(spec.images).to(job.device)
    x = to_float(images.images)
    tuned = tune(
        for_attacks(job.checkpoint(args.checkpoint, job.data).net, x),
        x,
        images.labels,
        trials=spec.trials,
        steps=spec.steps,
        eps=spec.eps,
        seed=derive(spec.seed, "hofmn"),
        batch_size=spec.batch,
        precision=spec.precision,
        progress=cli.log.info,
    )
    write_json(args.out, tuned.to_dict())
    write_json(args.card, job.card(sha256=sha256(args.out)))


if __name__ == "__main__":
    cli.run(main)
