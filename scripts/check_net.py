"""Take a fresh net through masks, audit and compaction, before anything is trained."""

from advprune.base.files import write_json
from advprune.base.record import from_json
from advprune.base.structures import STRUCTURES
from advprune.evaluation.net_check import check_net
from advprune.jobs import cli
from advprune.jobs.provenance import write_card
from advprune.models import registry
from advprune.plan.specs import CheckNetSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "out")
    cli.add_spec(parser)
    args = parser.parse_args()
    cli.open_log(args.log)
    spec = from_json(CheckNetSpec, args.spec)
    # the moments of the images are not known yet
    moments = {"mean": (0.5,) * spec.channels, "std": (0.25,) * spec.channels}
    found = check_net(registry.NetSpec.of(spec, **moments), STRUCTURES)
    cli.log.info("%s", found)
    write_json(args.out, found)
    write_card(args.out, "check_net", spec, {})


if __name__ == "__main__":
    cli.run(main)
