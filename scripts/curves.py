"""Draw the security evaluation curves of many evaluated models."""

from collections.abc import Sequence
from pathlib import Path

from advprune.jobs import cli
from advprune.report import records
from advprune.report.figures import canvas, curves


def main(argv: Sequence[str] | None = None) -> None:
    """Write the overview as PDF and PNG, and one figure of each kind per group."""
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluations", nargs="+", type=Path, required=True, metavar="JSON")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    parser.add_argument("--pdf", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    parser.add_argument("--groups", type=Path, metavar="DIR", help="folder of one figure per group")
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    methods = records.known(records.load_methods(args.methods), evaluations)
    rows = records.records(evaluations)
    overview = curves.overview(rows, methods)
    canvas.save(overview, args.pdf)
    canvas.save(overview, args.png)
    if args.groups:
        curves.write_groups(rows, methods, args.groups)


if __name__ == "__main__":
    cli.run(main)
