"""Train a dense robust net: the start of every method that prunes after training."""

from pathlib import Path

from advprune.base.seeds import generator
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.training.objectives import make
from advprune.training.recipes import Recipe


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job = jobs.start(parser, __file__)
    args, spec, data = job.args, job.spec, job.data()
    net_spec = NetSpec(spec["arch"], spec["width"], **data.net_fields())
    net = build(net_spec, generator(args.seed, "init")).to(job.device)
    with jobs.resume_state(args.out) as state:
        trainer = job.trainer(data, args.seed, state)
        objective = make(spec["objective"], trainer.threat)
        history = trainer.fit(net, objective, Recipe.from_dict(spec["recipe"]), "pretrain")
        card = job.card(seed=args.seed, history=history)
        save_checkpoint(args.out, net, net_spec, card=card)


if __name__ == "__main__":
    cli.run(main)
