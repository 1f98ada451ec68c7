"""Scatter plots of the worst case, with the Pareto front of the pruned nets and its names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from advprune.base import text
from advprune.report.figures.canvas import (
    DEFAULT_FONT,
    Options,
    columns_of,
    legend,
    look,
    named,
    settle,
)
from advprune.report.figures.curves import HIGHLIGHTED
from advprune.report.figures.placing import place
from advprune.report.figures.style import REST, Style, labels
from advprune.report.records import Record, names

FRONT = "#8c8c8c"
COLLAPSED = 0.25  # of the best worst case: nets below it do not stretch the axes
NAMED_BELOW = 3  # of those, as many are named
SHORT = 16  # letters of a name beside a point
FAINT: dict[str, Any] = {"color": REST, "ms": 2.6, "zorder": 2}


@dataclass(frozen=True, eq=False)
class Panel:
    """A scatter plot: rows of `means`, the column across, a title; `sign` is -1 if more is better.

    `label` is of the axis. `told`: names of points have their sparsity. Costs that differ by less
    than the share `equal` count as equal: smaller differences say nothing.
    """

    table: pd.DataFrame
    key: str
    title: str
    label: str = ""
    sign: int = 1
    told: bool = False
    equal: float = 0.0


def scatter(
    panels: Sequence[Panel],
    rows: Sequence[Record],
    methods: Mapping[str, Record],
    options: Options,
    most: int,
    title: str = "",
) -> Figure:
    """Draw panels at page width, `most` in a line; at column width one or two."""
    styles, width = look(rows, methods), options.inches("page")
    narrow = 2 if most == 2 and options.font <= DEFAULT_FONT else 1
    columns = min(columns_of(len(panels)), most if width > 5 else narrow)
    width = options.inches("page" if columns > 1 else "column")
    ticks = max(2, int((width / columns - 0.6) / (0.06 * options.font)))
    lines = -(-len(panels) // columns)
    shown = {key for panel in panels for key in best(panel.table)}
    there = {key for panel in panels for key in panel.table["method"][_inside(panel.table)]}
    used = [key for key in styles if key in shown & there]
    short = _short(rows, methods)
    with matplotlib.rc_context(options.settings):
        height = (2.3 if width > 5 else 1.9) * lines
        ncols = 5 if width > 5 else 2
        foot = options.line * (1.2 * -(-len(used) // ncols) + 2)
        drawn = Figure(figsize=(width, height + foot), layout="constrained")
        grid = list(drawn.subplots(lines, columns, squeeze=False).flat)
        fronts: list[list[int]] = []
        for axes, panel in zip(grid, panels, strict=False):
            fronts.append(_points(axes, panel, styles, shown))
            _limits(axes, panel, short)
            _ticks(axes, panel, ticks)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        drawn.supylabel("Worst case (%)", fontsize="medium")
        options.head(drawn, title)
        told = named(rows, methods)
        legend(drawn, [(styles[key], told[key]) for key in used], ncols, lines=False)
        settle(drawn)
        for axes, panel, front in zip(grid, panels, fronts, strict=False):
            _name(axes, panel, front, short, options)
    return drawn


def pareto(cost: Sequence[float], gain: Sequence[float], equal: float = 0.0) -> list[int]:
    """Places of the points that no other beats: none costs less and gains as much, or reverse.

    By rising cost. Costs that differ by less than the share `equal` are no less and no more.
    """
    c, g = np.asarray(cost, dtype=float), np.asarray(gain, dtype=float)
    front: list[int] = []
    for i in sorted(range(len(c)), key=lambda i: (-g[i], c[i])):
        room = equal * abs(c[i])
        better = ((c <= c[i] + room) & (g > g[i])) | ((c < c[i] - room) & (g == g[i]))
        again = any((c[j], g[j]) == (c[i], g[i]) for j in front)
        if not better.any() and not again:
            front.append(i)
    return sorted(front, key=lambda i: (c[i], g[i]))


def best(part: pd.DataFrame) -> set[str]:
    """Highlighted methods: the best on average over the groups, and references.

    Variants of references come after all methods.
    """
    told = {"worst": "mean", "reference": "first", "always": "first"}
    ranked = part.groupby("method").agg(told).sort_values("worst", ascending=False, kind="stable")
    always = ranked["always"].astype(bool)
    own = ranked[~always].sort_values("reference", kind="stable")
    return {*own.index[:HIGHLIGHTED], *ranked.index[always]}


def _points(axes: Axes, panel: Panel, styles: Mapping[str, Style], shown: set[str]) -> list[int]:
    """Draw a mark per row, and the front of pruned nets as steps; returns the front's places."""
    table = panel.table.reset_index(drop=True)
    x, y = table[panel.key].to_numpy(dtype=float), table["worst"].to_numpy(dtype=float)
    pruned = np.flatnonzero(~table["dense"].to_numpy(dtype=bool))
    found = pareto((panel.sign * x[pruned]).tolist(), y[pruned].tolist(), panel.equal)
    front = [int(pruned[i]) for i in found]
    for i, method in enumerate(table["method"]):
        style, bold = styles[method], method in shown or i in front
        look = {"color": style.colour, "ms": 3.8, "zorder": 3} if bold else FAINT
        axes.plot(x[i], y[i], style.marker if bold else "o", mew=0, **look)
    # a step of a front is where another point begins to be the best at that cost
    axes.plot(x[front], y[front], color=FRONT, lw=0.7, drawstyle="steps-post", zorder=1)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.label)
    if panel.sign > 0 and (x > 0).all() and x.max() > 3 * x.min():  # a cost
        axes.set_xscale("log")
    return front


def _ticks(axes: Axes, panel: Panel, most: int) -> None:
    """No more ticks across than have room."""
    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        few = 3 * np.log10(high / low) > most
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if few else (1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    if panel.sign > 0 and high >= 1000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _inside(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are drawn: those that have not collapsed."""
    worst = table["worst"].to_numpy(dtype=float)
    return np.asarray(worst >= COLLAPSED * worst.max())


def _limits(axes: Axes, panel: Panel, names: Mapping[str, str]) -> None:
    """Axes of the nets that have not collapsed; says under them which lie outside."""
    chosen = _inside(panel.table)
    x, y = (panel.table[key].to_numpy(dtype=float) for key in (panel.key, "worst"))
    low, high = y[chosen].min(), y[chosen].max()
    room = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    forward = np.log if axes.get_xscale() == "log" else np.asarray
    backward = np.exp if axes.get_xscale() == "log" else np.asarray
    low, high = forward(x[chosen]).min(), forward(x[chosen]).max()
    room = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_xlim(float(backward(low - room)), float(backward(high + room)))
    outside = panel.table[~chosen].sort_values("worst", ascending=False)
    if len(outside):
        told = [f"{names[r.method]} {r.worst:.0f}" for r in outside.itertuples()][:NAMED_BELOW]
        more = f" and {len(outside) - len(told)} more" * (len(outside) > len(told))
        axes.set_xlabel(f"{panel.label}\nbelow: {', '.join(told)}{more}")


def _name(
    axes: Axes, panel: Panel, front: Sequence[int], names: Mapping[str, str], options: Options
) -> None:
    """Name the points of the front and the dense net, the best ones first."""
    points, always = [], []
    for i, row in enumerate(panel.table.to_dict("records")):
        group = row["group"]
        share = f" {100 * group[3]:g} %" * (panel.told and not row["dense"])
        points.append((row[panel.key], row["worst"], names[row["method"]] + share))
        always += [i] * (row["dense"] and row["always"])
    chosen = sorted({*front, *always}, key=lambda i: -points[i][1])
    rest = [point for i, point in enumerate(points) if i not in chosen]
    corners = [(points[b][0], points[a][1]) for a, b in pairwise(front)]
    ends = [points[i][:2] for i in front]
    steps = [*zip(ends, corners, strict=False), *zip(corners, ends[1:], strict=True)]
    place(axes, [points[i] for i in chosen], rest, options.font - 1, steps)


def _short(rows: Sequence[Record], methods: Mapping[str, Record]) -> dict[str, str]:
    keys = {row["method"] for row in rows}
    known = names(dict.fromkeys(sorted(keys), Record()) | dict(methods))
    return labels({key: text.line(known[key]) for key in keys}, SHORT)
