"""Tables of per-sample verdicts, and everything that is counted from them.

A shard's table is one CSV file; `index` is the sample's place in the run's order of the test set,
`official_index` that in the official file. This module does not need torch, so reports can be made
where it is not installed.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from advprune.base.errors import UserError
from advprune.base.files import write_text

SAMPLE = {"index": "int64", "official_index": "int64", "label": "int64"}
# broken_by: the attack that broke the sample, "clean" if it was wrong from the start, "" if robust
AUTOATTACK = SAMPLE | {
    "clean_correct": "bool",
    "robust": "bool",
    "broken_by": "str",
}
# distance: Linf norm; 0 = misclassified without a perturbation, inf = no adversarial point found
HOFMN = SAMPLE | {"clean_correct": "bool", "distance": "float64"}
TABLES = (AUTOATTACK, HOFMN)

# Float32 images round a perturbation of exactly eps by up to 1.2e-7 (one unit in the last place
# at 1.0); this much above eps still counts as eps. A grey level of 8-bit images is 3.9e-3.
EPS_TOLERANCE = 1e-6


def write_table(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table of one of the kinds above; equal frames give equal bytes, floats are exact."""
    kind = _kind(path, list(frame.columns))
    write_text(path, frame.astype(kind).to_csv(index=False, lineterminator="\n"))


def read_tables(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Join shards of one kind, sorted by index; every index 0..n-1 must be there exactly once."""
    paths = list(paths)
    if not paths:
        raise UserError("no tables of verdicts to read")
    frames = [_read(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if list(frame.columns) != list(frames[0].columns):
            raise UserError(f"{path}: another kind of table than {paths[0]}")
    frame = pd.concat(frames, ignore_index=True).sort_values("index", ignore_index=True)
    index = frame["index"]
    if index.duplicated().any():
        raise UserError(f"{paths[0]} ...: sample {index[index.duplicated()].iloc[0]} appears twice")
    missing = np.setdiff1d(np.arange(index.max() + 1 if len(index) else 0), index)
    if len(missing):
        raise UserError(f"{paths[0]} ...: sample {missing[0]} is missing ({len(missing)} in all)")
    return frame


def accuracy(mask: ArrayLike) -> float:
    """Share of true entries; no entries at all is a UserError."""
    mask = np.asarray(mask, dtype=bool)
    if mask.size == 0:
        raise UserError("accuracy of no samples")
    return float(mask.mean())


def robust_at(distance: ArrayLike, eps: float) -> NDArray[np.bool_]:
    """Say per sample whether its minimum-norm distance lies beyond eps, by more than rounding.

    At eps 0 this is the clean verdict, without tolerance.
    """
    return np.asarray(distance, dtype=float) > (eps + EPS_TOLERANCE if eps > 0 else 0.0)


def worst(aa_robust: ArrayLike, hofmn_distance: ArrayLike, eps: float) -> NDArray[np.bool_]:
    """Say per sample whether neither AutoAttack nor HO-FMN breaks it at eps."""
    return np.asarray(aa_robust, dtype=bool) & robust_at(hofmn_distance, eps)


def pack(bits: ArrayLike) -> str:
    """Verdicts of all samples, in order, as hexadecimal text: four samples a digit."""
    return np.packbits(np.asarray(bits, dtype=bool)).tobytes().hex()


def unpack(text: str, samples: int) -> NDArray[np.bool_]:
    """Inverse of `pack`; text that is no such verdicts is a UserError."""
    try:
        packed = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    except ValueError:
        packed = np.empty(0, dtype=np.uint8)
    if len(packed) != -(-samples // 8):
        raise UserError(f"not the packed verdicts of {samples} samples: {text[:40]}")
    return np.unpackbits(packed, count=samples).astype(bool)


def _kind(path: str | Path, columns: list[str]) -> dict[str, str]:
    for kind in TABLES:
        if columns == list(kind):
            return kind
    raise UserError(f"{path}: not a table of verdicts (columns {', '.join(map(str, columns))})")


def _read(path: str | Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, keep_default_na=False, float_precision="round_trip")
        return frame.astype(_kind(path, list(frame.columns)))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, TypeError) as error:  # pandas' parser errors are ValueErrors
        raise UserError(f"{path}: damaged table ({error})") from None
