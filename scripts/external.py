"""Convert a net that was trained elsewhere into a checkpoint of ours."""

from pathlib import Path

from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import save_checkpoint
from advprune.models.foreign.chosen import chosen, known_moments
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
    moments, marks = ((spec.mean, spec.std), [])
    if not spec.mean:
        moments, marks = of_layout(job.args.source, asked, spec.channels)
    net_spec = NetSpec.of(spec, mean=moments[0], std=moments[1])
    found = convert(job.args.source, net_spec, asked, spec.sparsity)
    card = job.card(source=found.about, marks=marks + found.marks)
    save_checkpoint(job.args.out, found.net, net_spec, card=card)


def of_layout(
    path: Path, asked: Asked, channels: int
) -> tuple[tuple[tuple[float, ...], ...], list[str]]:
    """Mean and deviation of a released file's images, and a mark where nobody knows them."""
    match, _ = chosen(outline(path), asked)
    if match and (match.mean is None or match.std is None):
        return ((0.0,) * channels, (1.0,) * channels), [f"not normalised: {match.images}"]
    return known_moments(match, asked), []


if __name__ == "__main__":
    cli.run(main)
