"""Download or read a dataset, fix its splits and write what is trained with, or tested on."""

from pathlib import Path

from advprune.base.record import from_json
from advprune.data.prepare import prepare
from advprune.jobs import cli
from advprune.jobs.provenance import write_card
from advprune.plan.specs import DataSpec

CACHE = Path("results/downloads")  # downloads are shared by all runs


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "out")
    cli.add_spec(parser)
    parser.add_argument("--data-root", type=Path, nargs="?", help="local copies; none: download")
    args = parser.parse_args()
    cli.open_log(args.log)
    spec = from_json(DataSpec, args.spec)
    train, test = prepare(spec.name, data_root=args.data_root, cache=CACHE, limits=spec.limits)
    (test if spec.part == "test" else train).save(args.out)
    write_card(args.out, "dataset", spec, {})


if __name__ == "__main__":
    cli.run(main)
