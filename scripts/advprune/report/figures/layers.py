"""Where methods prune: kept shares by layer, overlap of masks, and what they say of robustness."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from scipy.stats import spearmanr

from advprune.evaluation.significance import holm
from advprune.report.figures.canvas import DEFAULT, Options, named
from advprune.report.figures.ranking import entries
from advprune.report.records import IDENTITY, Group, Record

Shares = NDArray[np.float64]
SHORT = 20  # letters of a method's name beside a heat map
FARTHEST = 3.0  # doublings of the mean kept share at which colours end
DEAD = "#000000"
FEWEST = 8  # methods of which anything is said of kept shares and robustness
CAPTION = (
    "Kept share of every layer beside that of the whole net: white where a layer keeps as much as "
    "the net, orange where less, violet where more, each step of colour a factor; black where "
    "nothing is left. Means over seeds. Methods by falling worst case, which stands at the right. "
    "Rows that are white all through prune all layers alike."
)
OVERLAP_CAPTION = (
    "Jaccard index of the kept weights: those that both nets have left of those that either has. "
    "Above the diagonal as found, below as masks would have that keep as much in each layer and "
    "choose at random there; on it between seeds of one method. Two methods are compared on nets "
    "of the same seed, which may have begun as the same pretrained net. Methods by falling worst "
    "case."
)
TRAITS = {
    "moved": "share of the kept weights that stand in other layers than under uniform pruning",
    "narrowest": "kept share of the layer that keeps least",
    "first": "kept share of the first layer",
    "last": "kept share of the last layer",
    "dead": "dead layers",
}


def shares(group: Group, layers: pd.DataFrame) -> pd.DataFrame:
    """Kept share of units [methods, layers] of a group, means over seeds, in the net's order."""
    own = _of(group, layers)
    order = own.drop_duplicates("layer").sort_values("place")["layer"]
    table = own.pivot_table(index="method", columns="layer", values="kept_share", aggfunc="mean")
    return table[list(order)]


def heat_map(
    group: Group,
    members: Sequence[Record],
    layers: pd.DataFrame,
    methods: Mapping[str, Record],
    options: Options = DEFAULT,
) -> Figure | None:
    """Draw methods × layers; None where no net of the group was audited."""
    members = [row for row in options.chosen(members) if row["structure"] != "none"]
    table = shares(group, layers) if len(_of(group, layers)) else pd.DataFrame()
    ranked = [entry for entry in entries(members) if entry.method in table.index]
    if not ranked:
        return None
    table = table.loc[[entry.method for entry in ranked]]
    kept = table.to_numpy(dtype=float)
    with np.errstate(divide="ignore"):
        doublings = np.clip(np.log2(kept / (1 - group[3])), -FARTHEST, FARTHEST)
    names = named(members, methods, SHORT)
    with matplotlib.rc_context(options.settings):
        longest = max(len(name) for name in table.columns)  # upright, below the map
        height = options.line * (1.1 * len(ranked) + 0.45 * longest + 6)
        drawn = Figure(figsize=(options.inches(), height), layout="constrained")
        axes = drawn.subplots()
        norm = TwoSlopeNorm(0, -FARTHEST, FARTHEST)
        image = axes.imshow(doublings, cmap="PuOr", norm=norm, aspect="auto")
        _dead(axes, kept)
        _labels(axes, [names[entry.method] for entry in ranked], list(table.columns), options)
        for place, entry in enumerate(ranked):
            margin = axes.get_yaxis_transform()
            axes.text(1.01, place, f"{entry.worst:.0f}", va="center", transform=margin)
        steps = np.arange(-FARTHEST, FARTHEST + 1)
        ticks = {float(s): _share(2**s * (1 - group[3])) for s in steps}
        options.head(drawn, options.title(group))
        _finish(axes, image, ticks, "kept share of the layer (%)")
    return drawn


def overlap_map(
    group: Group,
    members: Sequence[Record],
    overlap: pd.DataFrame,
    methods: Mapping[str, Record],
    options: Options = DEFAULT,
) -> Figure | None:
    """Draw methods × methods; None where fewer than two have saved nets."""
    members = [row for row in options.chosen(members) if row["structure"] != "none"]
    own = _of(group, overlap) if len(overlap) else overlap
    there = {*own["method"], *own["other"]} if len(own) else set()
    ranked = [entry.method for entry in entries(members) if entry.method in there]
    if len(ranked) < 2:
        return None
    values = matrix(own, ranked)
    names = named(members, methods, SHORT - 4)
    lowest = float(np.nanmin(values[values > 0])) if (values > 0).any() else 0.01
    with matplotlib.rc_context(options.settings):
        side = options.inches()
        drawn = Figure(figsize=(side, side * 1.02), layout="constrained")
        axes = drawn.subplots()
        axes.set_facecolor("#e8e8e8")  # not compared: one seed
        norm = LogNorm(max(lowest, 0.01), 1, clip=True)
        image = axes.imshow(values, cmap="cividis", norm=norm, aspect="equal")
        shown = [names[key] for key in ranked]
        _labels(axes, shown, shown, options, square=True)
        ticks = {t: f"{t:g}" for t in _steps(max(lowest, 0.01))}
        options.head(drawn, options.title(group))
        _finish(axes, image, ticks, "Jaccard index (below: expected)")
    return drawn


def matrix(own: pd.DataFrame, ranked: Sequence[str]) -> Shares:
    """Overlap [methods, methods]: found on and above the diagonal, expected below; nan unknown."""
    place = {method: i for i, method in enumerate(ranked)}
    values = np.full((len(ranked), len(ranked)), np.nan)
    means = own.groupby(["method", "other"])[["jaccard", "expected"]].mean()
    for pair, (found, expected) in zip(means.index, means.to_numpy(), strict=True):
        if not set(pair) <= place.keys():
            continue
        i, j = sorted(place[key] for key in pair)
        values[i, j] = found
        if i != j:
            values[j, i] = expected
    return values


def traits(group: Group, members: Sequence[Record], layers: pd.DataFrame) -> pd.DataFrame:
    """`worst` in % and the `TRAITS` of kept shares, a row per method, means over seeds."""
    own, worst = _of(group, layers), {e.method: e.worst for e in entries(members)}
    found = []
    for method, table in own.groupby("method"):
        if method not in worst:
            continue
        seeds = [_traits(part) for _, part in table.groupby("seed")]
        means = pd.DataFrame(seeds).mean().to_dict()
        found.append({"method": method, "worst": worst[method]} | means)
    return pd.DataFrame(found, columns=["method", "worst", *TRAITS]).set_index("method")


def explained(table: pd.DataFrame) -> list[dict[str, Any]]:
    """How far each trait orders methods as the worst case does: Spearman's rho, n, p after Holm.

    Methods are the units. A trait that is the same for all is left out; fewer than `FEWEST`
    methods say nothing.
    """
    if len(table) < FEWEST:
        return []
    varied = [key for key in TRAITS if table[key].nunique() > 1]
    if table["worst"].nunique() < 2:
        return []
    tests = [spearmanr(table[key], table["worst"]) for key in varied]
    adjusted = holm([float(test.pvalue) for test in tests])
    return [
        {"trait": key, "methods": len(table), "rho": float(test.statistic), "p": p}
        for key, test, p in zip(varied, tests, adjusted, strict=True)
    ]


def _traits(net: pd.DataFrame) -> dict[str, float]:
    """Traits of one net; its layers are the rows."""
    net = net.sort_values("place")
    kept = net["kept_weights"] / max(net["kept_weights"].sum(), 1)
    uniform = net["weights"] / net["weights"].sum()
    share = (net["kept_weights"] / net["weights"]).to_numpy()
    return {
        "moved": float((kept - uniform).abs().sum() / 2),
        "narrowest": float(share.min()),
        "first": float(share[0]),
        "last": float(share[-1]),
        "dead": float(net["dead"].sum()),
    }


def _of(group: Group, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of one group."""
    chosen = np.ones(len(table), dtype=bool)
    for key, value in zip(IDENTITY[1:5], group, strict=True):
        chosen &= (table[key] == value).to_numpy()
    return table[chosen]


def _dead(axes: Axes, kept: Shares) -> None:
    for y, x in zip(*np.nonzero(kept == 0), strict=True):
        axes.add_patch(matplotlib.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, color=DEAD, lw=0))


def _labels(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], options: Options, square: bool = False
) -> None:
    """Names at the left and below; type shrinks where columns are closer than a line."""
    room = 72 * 0.62 * options.inches() / max(len(columns), 1)
    size = min(options.font, max(4.0, room))
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
    if square:  # rows are no farther apart than columns
        options = replace(options, font=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=options.font)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _finish(axes: Axes, image: AxesImage, ticks: Mapping[float, str], label: str) -> None:
    """Add the colours' bar below the names of the columns."""
    bar = axes.figure.colorbar(image, location="bottom", shrink=0.8, aspect=40, pad=0.03)
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.minorticks_off()
    bar.set_label(label)
    bar.outline.set_visible(False)


def _steps(lowest: float) -> list[float]:
    """Round numbers from `lowest` to 1, for an axis of their logarithm."""
    fine = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
    coarse = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    return [t for t in (fine if lowest > 0.1 else coarse) if t >= lowest]


def _share(share: float) -> str:
    return f"{100 * share:.2g}" if share < 1 else ""
