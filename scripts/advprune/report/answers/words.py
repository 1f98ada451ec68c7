"""Numbers and names as the sections' texts and tables have them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from advprune.report.answers.means import PLACE
from advprune.report.records import full_title, percent

NONE = "–"


def points(share: float) -> str:
    """A difference of shares in percentage points with its sign; a dash where there is none."""
    return NONE if pd.isna(share) else f"{100 * share:+.1f}"


def bounds(low: float, high: float) -> str:
    """An interval of differences in points; a dash where there is none."""
    return NONE if pd.isna(low) or pd.isna(high) else f"{points(low)} to {points(high)}"


def share(value: float) -> str:
    """A share in percent without the sign; a dash where there is none."""
    return percent(None if pd.isna(value) else value)


def number(value: float, digits: int = 2) -> str:
    """A number; a dash where there is none."""
    return NONE if pd.isna(value) else f"{value:.{digits}f}"


def p_value(p: float) -> str:
    """The p-value to three digits; a dash where nothing was tested."""
    return NONE if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str) -> str:
    """`1 method`, `3 methods`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def place(row: Mapping[str, object] | pd.Series) -> str:
    """`cifar10, resnet18: unstructured, 90 % removed`."""
    dataset, arch, structure, sparsity = (row[key] for key in PLACE)
    return full_title((str(dataset), str(arch), str(structure), float(str(sparsity))))


def listed(words: Sequence[str], most: int = 8) -> str:
    """Some words with commas: the first ones, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def spread(values: pd.Series, unit: str = "") -> str:
    """Lowest and highest of some numbers, or the one that all have."""
    known = sorted(set(values.dropna()))
    if not known:
        return "not known"
    ends = f"{known[0]:g}" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g}"
    return ends + unit
