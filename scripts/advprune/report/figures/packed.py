"""Large tables, packed: Parquet, and CSV in gzip. Equal tables give equal bytes."""

import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from advprune.attacks.verdicts import pack
from advprune.base.files import atomic
from advprune.report.figures import tidy
from advprune.report.records import IDENTITY, Identity

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


def write_images(
    frames: Iterator[pd.DataFrame], table: Path, parquet: Path
) -> dict[Identity, dict[str, str]]:
    """Write them, and return what the survey's table tests: verdicts by model, packed."""
    verdicts: dict[Identity, dict[str, str]] = {}
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
            model = frame[IDENTITY].iloc[0]
            told = {kind: pack(frame[column]) for kind, column in TESTED.items()}
            verdicts[tuple(model)] = told
    return verdicts


def _csv(frame: pd.DataFrame) -> bytes:
    text: str = frame.to_csv(index=False, header=False, lineterminator="\n")
    return text.encode()


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with its types."""
    with atomic(path) as temporary:
        table: Any = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")
