"""Convert a net that was trained elsewhere into a checkpoint of ours."""

from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import save_checkpoint
from advprune.models.foreign.chosen import chosen, moments
from advprune.models.foreign.convert import convert
from advprune.models.foreign.outline import outline
from advprune.models.foreign.reading import Asked
from advprune.models.registry import NetSpec
from advprune.plan.specs import ExternalSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "source", "out")
    job = jobs.start(parser, __file__, ExternalSpec, inputs=("source",))
    spec = job.spec
    asked = Asked(spec.rename, spec.key, spec.masks, spec.scores, spec.moments, spec.layout)
    (mean, std), marks = (spec.mean, spec.std), []
    if not mean:
        match, _ = chosen(outline(job.args.source), asked)
        (mean, std), marks = moments(match, asked, spec.channels)
    net_spec = NetSpec.of(spec, mean=mean, std=std)
    found = convert(job.args.source, net_spec, asked, spec.sparsity)
    card = job.card(source=found.about, marks=marks + found.marks, faults=found.faults)
    save_checkpoint(job.args.out, found.net, net_spec, card=card)


if __name__ == "__main__":
    cli.run(main)
