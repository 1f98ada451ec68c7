"""Download or read a dataset, fix its splits and write it as one file."""

from pathlib import Path

from advprune.base.record import from_json
from advprune.data.dataset import save
from advprune.data.prepare import prepare
from advprune.jobs import cli
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
    data = prepare(spec.name, data_root=args.data_root, cache=CACHE, limits=spec.limits)
    save(data, args.out)


if __name__ == "__main__":
    cli.run(main)
