"""Scatter plots of the worst case, with the Pareto front of the pruned nets and its names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from advprune.base import text
from advprune.report.figures.canvas import Options, legend, look, named, settle
from advprune.report.figures.curves import HIGHLIGHTED
from advprune.report.figures.placing import place
from advprune.report.figures.style import REST, Style, labels
from advprune.report.records import Record, names

FRONT = "#8c8c8c"
COLLAPSED = 0.5  # of the best worst case: nets below it do not stretch the axes
SHORT = 16  # letters of a name beside a point
FAINT: dict[str, Any] = {"color": REST, "ms": 2.6, "zorder": 2}


@dataclass(frozen=True, eq=False)
class Panel:
    """A scatter plot: rows of `means`, the column across, a title; `sign` is -1 if more is better.

    `label` is of the axis. `told`: names of points have their
    sparsity.
    """

    table: pd.DataFrame
    key: str
    title: str
    label: str = ""
    sign: int = 1
    told: bool = False


def scatter(
    panels: Sequence[Panel],
    rows: Sequence[Record],
    methods: Mapping[str, Record],
    options: Options,
    most: int,
) -> Figure:
    """Draw panels at page width, `most` in a line; at column width one or two."""
    styles, width = look(rows, methods), options.inches("page")
    columns = min(len(panels), most if width > 5 else 2 if most == 2 else 1)
    width = options.inches("page" if columns > 1 else "column")
    lines = -(-len(panels) // columns)
    shown = {key for panel in panels for key in best(panel.table)}
    used = [key for key in styles if key in shown]
    with matplotlib.rc_context(options.settings):
        height = (2.3 if width > 5 else 1.9) * lines
        ncols = 5 if width > 5 else 2
        foot = options.line * (1.2 * -(-len(used) // ncols) + 2)
        drawn = Figure(figsize=(width, height + foot), layout="constrained")
        grid = list(drawn.subplots(lines, columns, squeeze=False).flat)
        fronts = [_points(a, p, styles, shown) for a, p in zip(grid, panels, strict=False)]
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        drawn.supylabel("Worst case (%)", fontsize="medium")
        told = named(rows, methods)
        legend(drawn, [(styles[key], told[key]) for key in used], ncols)
        settle(drawn)
        short = _short(rows, methods)
        for axes, panel, front in zip(grid, panels, fronts, strict=False):
            _name(axes, panel, front, short, options)
    return drawn


def pareto(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Places of the points that no other beats: none costs less and gains as much, or reverse."""
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -gain[i]))
    front: list[int] = []
    for i in order:
        if not front or gain[i] > gain[front[-1]]:
            front.append(i)
    return front


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
    front = [int(pruned[i]) for i in pareto((panel.sign * x[pruned]).tolist(), y[pruned].tolist())]
    for i, method in enumerate(table["method"]):
        style, bold = styles[method], method in shown or i in front
        look = {"color": style.colour, "ms": 3.8, "zorder": 3} if bold else FAINT
        axes.plot(x[i], y[i], style.marker if bold else "o", mew=0, **look)
    # a step of a front is where another point begins to be the best at that cost
    steps = "steps-post" if panel.sign > 0 else "steps-pre"
    line = front if panel.sign > 0 else front[::-1]
    axes.plot(x[line], y[line], color=FRONT, lw=0.7, drawstyle=steps, zorder=1)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.label)
    if panel.sign > 0:  # a cost
        if (x > 0).all() and x.max() > 3 * x.min():
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
        if x.max() >= 1000:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    _limits(axes, x, y)
    return front


def _limits(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Axes of the nets that have not collapsed; says how many lie outside."""
    chosen = y >= COLLAPSED * y.max()
    low, high = y[chosen].min(), y[chosen].max()
    room = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    forward = np.log if axes.get_xscale() == "log" else np.asarray
    backward = np.exp if axes.get_xscale() == "log" else np.asarray
    low, high = forward(x[chosen]).min(), forward(x[chosen]).max()
    room = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_xlim(float(backward(low - room)), float(backward(high + room)))
    if outside := int((~chosen).sum()):
        told: dict[str, Any] = {"transform": axes.transAxes, "fontsize": "small", "color": FRONT}
        axes.text(0.02, 0.02, f"{outside} below", **told)


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
    place(axes, [points[i] for i in chosen], rest, options.font - 1)


def _short(rows: Sequence[Record], methods: Mapping[str, Record]) -> dict[str, str]:
    keys = {row["method"] for row in rows}
    known = names(dict.fromkeys(sorted(keys), Record()) | dict(methods))
    return labels({key: text.line(known[key]) for key in keys}, SHORT)
