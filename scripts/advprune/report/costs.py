"""The table of costs: what a model's compact net takes beside the net as it is saved.

Times without further name are the fastest of the repeats: other work on the machine only adds to
them, while a median moves with it. The medians stand beside them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.report.records import IDENTITY, Record

COUNTS = ["params", "nonzero", "compact_params", "macs", "compact_macs", "theoretical_macs"]
TIMES = [
    *("one_saved_ms", "one_compact_ms", "one_saved_median_ms", "one_compact_median_ms"),
    *("one_repeats", "batch", "batch_saved_ms", "batch_compact_ms", "batch_saved_median_ms"),
    *("batch_compact_median_ms", "batch_repeats", "threads", "device"),
]


def table(rows: Sequence[Record]) -> pd.DataFrame:
    """One row per model; whole numbers stay whole where some are missing."""
    frame = pd.DataFrame(rows, columns=[*IDENTITY, *COUNTS, *TIMES]).sort_values(IDENTITY)
    return frame.astype(dict.fromkeys(COUNTS, "Int64")).reset_index(drop=True)


def load(path: str | Path) -> dict[tuple[Any, ...], Record]:
    """Read the table into rows by the values of `IDENTITY`; anything else is a UserError."""
    try:
        frame = pd.read_csv(path)
        frame = frame[[*IDENTITY, *COUNTS, *TIMES]]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of costs ({type(error).__name__})") from None
    return {tuple(row[key] for key in IDENTITY): row for row in frame.to_dict("records")}


def milliseconds(value: float) -> str:
    """Format a time with three digits; a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:#.3g}".rstrip(".") + " ms"


def measured_on(costs: Iterable[Record]) -> list[str]:
    """Say where the times come from: every device with its threads, in order."""
    places = {(row["device"], row["threads"]) for row in costs}
    return [f"{device}, {n} thread{'s' * (n != 1)}" for device, n in sorted(places)]
