"""Convert a net that was trained elsewhere into a checkpoint of ours."""

from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import save_checkpoint
from advprune.models.convert import convert
from advprune.models.registry import NetSpec
from advprune.plan.specs import ExternalSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "source", "out")
    job = jobs.start(parser, __file__, ExternalSpec, inputs=("source",))
    spec = job.spec
    sizes = (spec.width, spec.classes, spec.channels, spec.size)
    net_spec = NetSpec(spec.arch, *sizes, spec.mean, spec.std)
    net = convert(job.args.source, net_spec, spec.rename)
    save_checkpoint(job.args.out, net, net_spec, card=job.card())


if __name__ == "__main__":
    cli.run(main)
