"""Write the leaderboard of many evaluated models: CSV, HTML page and LaTeX tables."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from advprune.base.record import from_json
from advprune.jobs import cli
from advprune.plan.paths import Layout
from advprune.plan.specs import PageSpec
from advprune.report import costs, origins, records, tables
from advprune.report.answers.section import read_sections
from advprune.report.page import details, document
from advprune.report.page.content import Content

# what a run leaves beside its page, and the page links
FILES = ("leaderboard.csv", "comparison.csv", "costs.csv", "provenance.csv", "curves.pdf")
FILES += ("leaderboard.tex", "survey.tex", "models.csv", "configuration.yaml")


def main(argv: Sequence[str] | None = None) -> None:
    """Write every output that was asked for."""
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluations", nargs="+", type=Path, required=True, metavar="JSON")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    parser.add_argument("--sections", nargs="*", type=Path, default=[], metavar="JSON")
    parser.add_argument("--thin-ice", nargs="*", type=Path, default=[], metavar="PNG")
    parser.add_argument("--costs", type=Path, metavar="CSV", help="shown on the page only")
    parser.add_argument("--provenance", type=Path, metavar="CSV", help="shown on the page only")
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
        content = Content(
            evaluations,
            methods,
            spec.preset,
            costs=costs.load(args.costs) if args.costs else {},
            details=found(args, Path(Layout(spec.preset).logs)),
            sections=read_sections(args.sections),
            thin_ice=args.thin_ice,
            files=FILES,
        )
        document.write(args.html, with_origins(content, args.provenance))


def found(args: argparse.Namespace, logs: Path) -> details.Details:
    """What the models' folders hold, and of thin ice the tables beside the figures."""
    read = details.read(args.evaluations, logs)
    tables_beside = [path.with_suffix(".csv") for path in args.thin_ice]
    details.add_thin_ice(read, [path for path in tables_beside if path.is_file()])
    return read


def with_origins(content: Content, provenance: Path | None) -> Content:
    """The content with what provenance.csv says, if it is there."""
    if provenance is None:
        return content
    frame = pd.read_csv(provenance)
    return replace(content, origins=origins.by_model(frame), made=origins.summary(frame))


if __name__ == "__main__":
    cli.run(main)
