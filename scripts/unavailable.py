"""Write the row of a released net that cannot be had: no numbers, and the reason."""

from advprune.base.files import read_json, write_json
from advprune.base.record import from_json
from advprune.evaluation.evaluate import without_numbers
from advprune.jobs import cli
from advprune.plan.specs import UnavailableSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "fetched", "out")
    cli.add_spec(parser)
    args = parser.parse_args()
    cli.open_log(args.log)
    spec = from_json(UnavailableSpec, args.spec)
    reason = read_json(args.fetched)["reason"]
    write_json(args.out, without_numbers(spec, "not available", reason))


if __name__ == "__main__":
    cli.run(main)
