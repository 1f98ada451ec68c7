"""Recount a checkpoint's sparsity, parameters and MACs from the saved file."""

from advprune.base.files import write_json
from advprune.base.record import from_json
from advprune.evaluation.audit import audit
from advprune.jobs import cli
from advprune.jobs.provenance import write_card
from advprune.models.checkpoint import load_checkpoint
from advprune.plan.specs import AuditSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "checkpoint", "out")
    cli.add_spec(parser)
    args = parser.parse_args()
    cli.open_log(args.log)
    target, loaded = from_json(AuditSpec, args.spec), load_checkpoint(args.checkpoint)
    image = (loaded.spec.channels, loaded.spec.size, loaded.spec.size)
    asked = (target.structure, target.sparsity, loaded.masks, target.counted)
    found = audit(loaded.net, image, *asked)
    write_json(args.out, found)
    write_card(args.out, "audit", target, {"checkpoint": args.checkpoint})


if __name__ == "__main__":
    cli.run(main)
