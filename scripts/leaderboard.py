"""Write the leaderboard of many evaluated models: CSV, HTML page and LaTeX tables."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from advprune.base.record import from_json
from advprune.jobs import cli
from advprune.plan.specs import PageSpec
from advprune.report import costs, origins, page, records, tables


def main(argv: Sequence[str] | None = None) -> None:
    """Write every output that was asked for."""
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluations", nargs="+", type=Path, required=True, metavar="JSON")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    parser.add_argument("--curves", nargs="*", type=Path, default=[], metavar="PNG")
    parser.add_argument("--thin-ice", nargs="*", type=Path, default=[], metavar="PNG")
    parser.add_argument("--costs", type=Path, metavar="CSV", help="shown on the page only")
    parser.add_argument("--provenance", type=Path, metavar="CSV", help="counted on the page only")
    parser.add_argument("--spec", default="{}", metavar="JSON", help="what to do (plan/specs.py)")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--html", type=Path)
    parser.add_argument("--tex", type=Path)
    args = parser.parse_args(argv)
    cli.open_log(args.log)
    spec = from_json(PageSpec, args.spec)

    evaluations = records.load(args.evaluations, absent=True)
    methods = records.known(records.load_methods(args.methods), evaluations)
    frame = tables.leaderboard(evaluations)
    if args.csv:
        tables.write_csv(frame, args.csv)
    if args.tex:
        tables.write_latex(frame, args.tex, records.names(methods))
    if args.html:
        measured = costs.load(args.costs) if args.costs else None
        made = origins.summary(pd.read_csv(args.provenance)) if args.provenance else ""
        given = (args.curves, spec.preset, args.thin_ice, measured)
        page.write(args.html, evaluations, methods, *given, made=made)


if __name__ == "__main__":
    cli.run(main)
