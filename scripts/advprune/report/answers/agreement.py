"""Our results beside published ones: pairs of numbers, their conditions, agreement of the ranks.

A published number belongs to a checkpoint of the method's authors and was measured under other
conditions (config/published/README.md), so a difference is no error of either side.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from advprune.report.answers.means import PLACE, in_order

FEWEST = 5  # methods in common: with four, no order is rarer than one in twelve, both ways
LEVEL = 0.05
DRAWS = 2000
COLUMNS = [
    *(*PLACE, "method", "seeds", "clean", "autoattack", "worst"),
    *("eps", "images", "width", "epochs"),
    *("published_arch", "published_sparsity", "published_clean", "published_autoattack"),
    *("published_eps", "published_images", "exact", "differs", "difference"),
    *("drop", "published_drop", "drop_difference"),
    *("relative", "published_relative", "relative_difference"),
]
RANKS = [*PLACE, "methods", "spearman", "low", "high", "p", "mean_difference"]


def beside(ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Every pruned method with the published number of the nearest conditions, shares in [0, 1].

    `ours` has means over seeds, `published` accuracies in percent. A counterpart has the same
    method (not a variant of it), dataset and kind of structure; `exact` ones also the net and the
    sparsity, and of others the same net comes first, then the nearest sparsity: `differs` names
    what is another. `difference` is our worst case minus the published AutoAttack. `drop` is what a
    method loses against the dense net; `relative` is taken against the mean of the methods that
    have an exact counterpart in the group.
    """
    known = _published(published)
    own = ours[(ours["structure"] != "none") & ~ours["variant"] & ~ours["external"]]
    rows = [row for _, one in own.iterrows() if (row := _pair(one, known)) is not None]
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.DataFrame(rows)[COLUMNS[: COLUMNS.index("drop")]]
    places = pd.MultiIndex.from_frame(frame[["dataset", "arch"]])
    frame["drop"] = _dense(ours, "worst").reindex(places).to_numpy() - frame["worst"]
    theirs = _dense(known, "autoattack").reindex(places).to_numpy()
    frame["published_drop"] = theirs - frame["published_autoattack"]
    frame["drop_difference"] = frame["drop"] - frame["published_drop"]
    exact = frame[frame["exact"]]
    for name, of in (("relative", "worst"), ("published_relative", "published_autoattack")):
        frame[name] = exact[of] - exact.groupby(PLACE)[of].transform("mean")
    frame["relative_difference"] = frame["relative"] - frame["published_relative"]
    return in_order(frame[COLUMNS], "method")


def ranks(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rank agreement per group, over the methods with an exact counterpart.

    `spearman` with its interval and p; empty with fewer than `FEWEST` methods.
    """
    rows = []
    exact = pairs[pairs["exact"].astype(bool)]
    for place, own in exact.groupby(PLACE, sort=False):
        row = dict(zip(PLACE, place, strict=True)) | {"methods": len(own)}
        row["mean_difference"] = own["difference"].mean()
        if len(own) >= FEWEST:
            x, y = own["worst"].to_numpy(), own["published_autoattack"].to_numpy()
            low, high = interval(x, y)
            row |= {"spearman": spearman(x, y), "low": low, "high": high, "p": chance(x, y)}
        rows.append(row)
    return pd.DataFrame(rows, columns=RANKS)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation; nan where one side has one value only."""
    return float(_correlations(rankdata(x)[None], rankdata(y)[None])[0])


def interval(x: ArrayLike, y: ArrayLike, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """95 % interval of Spearman's correlation: percentiles over methods drawn with replacement.

    Draws in which one side has one value only count as no correlation at all.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    chosen = np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))
    found = _correlations(rankdata(x[chosen], axis=1), rankdata(y[chosen], axis=1))
    low, high = np.quantile(np.nan_to_num(found), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def chance(x: ArrayLike, y: ArrayLike, draws: int = 10_000, seed: int = 0) -> float:
    """Two-sided p: how often orders at random agree, or disagree, as much as these two."""
    a, b = rankdata(x), rankdata(y)
    shuffled = np.random.default_rng(seed).permuted(np.tile(a, (draws, 1)), axis=1)
    found = np.abs(_correlations(shuffled, np.tile(b, (draws, 1))))
    return float((1 + (found >= abs(spearman(a, b)) - 1e-9).sum()) / (1 + draws))


def _correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of each row."""
    a, b = (v - v.mean(axis=1, keepdims=True) for v in (a, b))
    below = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, (a * b).sum(axis=1) / below, np.nan)


def _published(published: pd.DataFrame) -> pd.DataFrame:
    """Published numbers as shares, without those that were never given."""
    known = published.dropna(subset=["clean_accuracy", "autoattack_accuracy"])
    shares = {
        "clean": known["clean_accuracy"] / 100,
        "autoattack": known["autoattack_accuracy"] / 100,
        "sparsity": known["sparsity_percent"] / 100,
    }
    return known.assign(**shares)


def _kind(structure: str) -> str:
    """The published list says "structured", which are filters or channels as the method has."""
    return structure if structure in ("none", "unstructured") else "structured"


def _pair(one: pd.Series, known: pd.DataFrame) -> dict[str, Any] | None:
    fits = known[(known["method"] == one["method"]) & (known["dataset"] == one["dataset"])]
    fits = fits[fits["structure"].map(_kind) == _kind(one["structure"])]
    if fits.empty:
        return None
    apart = (fits["sparsity"] - one["sparsity"]).abs().round(6)
    order = fits.assign(other_net=fits["arch"] != one["arch"], apart=apart)
    their = order.sort_values(["other_net", "apart", "arch", "sparsity"]).iloc[0]
    other = ["net"] * bool(their["other_net"]) + ["sparsity"] * bool(their["apart"] > 0)
    row: dict[str, Any] = one.to_dict()
    return row | {
        "published_arch": their["arch"],
        "published_sparsity": their["sparsity"],
        "published_clean": their["clean"],
        "published_autoattack": their["autoattack"],
        "published_eps": their["eps"],
        "published_images": their["test_images"],
        "exact": not other,
        "differs": ", ".join(other),
        "difference": one["worst"] - their["autoattack"],
    }


def _dense(frame: pd.DataFrame, of: str) -> pd.Series:
    """Accuracy of the dense net by dataset and net, where there is one."""
    dense = frame[(frame["method"] == "dense") & (frame["structure"] == "none")]
    return dense.groupby(["dataset", "arch"])[of].mean().astype(float)
