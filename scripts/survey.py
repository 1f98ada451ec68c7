"""Answer the survey's questions: the best, what they share, what traits change, what goes wrong."""

from collections.abc import Sequence
from pathlib import Path

from advprune.jobs import cli
from advprune.report import records
from advprune.report.answers import common, means, tell_survey, traits
from advprune.report.answers.effects import effects
from advprune.report.paired import level_with_best
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Write the four tables, the figure and the page's section."""
    tables = ("effects", "top", "shared", "issues")
    parser = cli.parser(__doc__, *tables, "pdf", "png", "section", lists="evaluations")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    methods = records.known(records.load_methods(args.methods), evaluations)
    models = means.models(evaluations)
    rows = traits.with_traits(means.means(models), methods)
    best = common.top(rows, level_with_best(evaluations))
    found = {
        "effects": effects(rows),
        "top": best,
        "shared": common.shared(rows, best),
        "issues": common.issues(models, traits.of_methods(methods)),
    }
    for name in tables:
        write_csv(found[name], getattr(args, name))
    files = (args.pdf, args.png)
    section = tell_survey.section(rows, **found, names=records.names(methods), files=files)
    section.write(args.section)


if __name__ == "__main__":
    cli.run(main)
