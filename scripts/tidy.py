"""Write a run's tidy tables: models, images, curves, layers, and the survey's table in LaTeX."""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from advprune.attacks.verdicts import pack
from advprune.base.files import atomic, read_json
from advprune.jobs import cli
from advprune.report import records
from advprune.report.figures import survey, tidy
from advprune.report.tables import write_csv

# which verdicts the survey's table tests
TESTED = {"clean": "clean_correct", "autoattack": "autoattack_robust"}
SCHEMA = pa.schema(
    [
        *((key, pa.string()) for key in ("method", "dataset", "arch", "structure")),
        *(("sparsity", pa.float64()), ("seed", pa.int64())),
        *((key, pa.int64()) for key in ("index", "official_index", "label")),
        *((key, pa.bool_()) for key in ("clean_correct", "autoattack_robust")),
        *(("broken_by", pa.string()), ("hofmn_distance", pa.float64())),
        ("worst_robust", pa.bool_()),
    ]
)


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
    _write_parquet(models, args.parquet)
    write_csv(tidy.curves(evaluations), args.curves)
    places = {path.parent: read_json(path) for path in args.evaluations}
    write_csv(tidy.layers(places), args.layers)
    verdicts = _write_images(_images(places), args.images, args.images_parquet)
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


def _write_images(
    frames: Iterator[pd.DataFrame], table: Path, parquet: Path
) -> dict[records.Identity, dict[str, str]]:
    """Write them, and return what the survey's table tests: verdicts by model, packed."""
    verdicts: dict[records.Identity, dict[str, str]] = {}
    with ExitStack() as stack:
        raw = stack.enter_context(open(stack.enter_context(atomic(table)), "wb"))
        # without name and time, so that equal tables give equal bytes
        packed = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, mtime=0))
        packed.write((",".join(tidy.IMAGES) + "\n").encode())
        place = stack.enter_context(atomic(parquet))
        writer = stack.enter_context(pq.ParquetWriter(place, SCHEMA, compression="zstd"))
        for frame in frames:
            packed.write(_csv(frame))
            writer.write_table(pa.Table.from_pandas(frame, SCHEMA, preserve_index=False))
            model = frame[records.IDENTITY].iloc[0]
            told = {kind: pack(frame[column]) for kind, column in TESTED.items()}
            verdicts[tuple(model)] = told
    return verdicts


def _csv(frame: pd.DataFrame) -> bytes:
    text: str = frame.to_csv(index=False, header=False, lineterminator="\n")
    return text.encode()


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    with atomic(path) as temporary:
        table: Any = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


if __name__ == "__main__":
    cli.run(main)
