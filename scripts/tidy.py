"""Write a run's tidy tables: models, images, curves, layers, and the survey's table in LaTeX."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from advprune.base.files import read_json
from advprune.jobs import cli
from advprune.report import records
from advprune.report.figures import packed, survey, tidy
from advprune.report.tables import write_csv


def main(argv: Sequence[str] | None = None) -> None:
    """Write every table."""
    parser = cli.parser(__doc__, "models", "parquet", "images", "curves", "layers", "tex")
    parser.add_argument("--images-parquet", type=Path, required=True, metavar="FILE")
    parser.add_argument("--evaluations", nargs="+", type=Path, required=True, metavar="JSON")
    parser.add_argument("--costs", type=Path, metavar="CSV")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    args = parser.parse_args(argv)
    cli.open_log(args.log)

    evaluations = records.load(args.evaluations)
    methods = records.known(records.load_methods(args.methods), evaluations)
    costs = pd.read_csv(args.costs) if args.costs else None
    models = tidy.models(evaluations, methods, costs)
    write_csv(models, args.models)
    packed.write_parquet(models, args.parquet)
    write_csv(tidy.curves(evaluations), args.curves)
    places = {path.parent: read_json(path) for path in args.evaluations}
    write_csv(tidy.layers(places), args.layers)
    verdicts = packed.write_images(_images(places), args.images, args.images_parquet)
    survey.write(args.tex, evaluations, methods, verdicts)


def _images(places: dict[Path, list[records.Record]]) -> Iterator[pd.DataFrame]:
    """Verdicts of one model after the other: those of a whole grid are millions of rows."""
    for place, evaluations in places.items():
        for evaluation in evaluations:
            if evaluation["status"] == "failed":
                continue
            found = tidy.images(place, evaluation["model"], evaluation["threat"]["eps"])
            if found is not None:
                yield found


if __name__ == "__main__":
    cli.run(main)
