"""Security evaluation curves: accuracy under attack against the size of the perturbation.

One figure per group of comparable models, and an overview with all groups as small multiples. The
curves are those of HO-FMN; what is ranked is the worst case of both attacks. At most eight methods
a panel are highlighted, in their own style; the rest is grey, dense nets and references dashed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from advprune.base.errors import UserError
from advprune.report.figures import ranking
from advprune.report.figures.canvas import (
    DEFAULT,
    Options,
    always_shown,
    columns_of,
    doubted,
    empty,
    eps_label,
    is_reference,
    legend,
    look,
    named,
    save,
    scale_of,
    stem,
)
from advprune.report.figures.style import REST, Style
from advprune.report.records import (
    LARGEST_SPREAD,
    Group,
    Record,
    across_seeds,
    group_title,
    groups,
)

MOST_BANDS = 8
HIGHLIGHTED = 8
ATTACKS = ("autoattack", "hofmn")
CAPTION = (
    "Accuracy on the test images when each may be perturbed by up to ε, from the minimum-norm "
    "distances of HO-FMN. Marks on the vertical line, which is the ε of the leaderboard: the worst "
    "case of HO-FMN and AutoAttack, by which methods are ranked; strokes and crosses of the "
    "ranking are AutoAttack's and HO-FMN's own numbers. One seed: the band is the 95 % Wilson "
    "interval. Several seeds: the line is their mean and the band reaches from the lowest to the "
    "highest end of their own intervals, so it covers both the choice of images and the training. "
    f"More than {MOST_BANDS} curves are drawn without bands, and but the first {HIGHLIGHTED} of "
    "them in grey. Dashed grey: dense nets and references. ? an indicator says that attacks may "
    "have missed points: beyond ε, where no second attack checks it, such a curve is dotted. ↕ "
    f"seeds more than {100 * LARGEST_SPREAD:g} points apart in the worst case. Seeds flagged in "
    "the leaderboard are left out; † marks a method with no other, drawn thin."
)


@dataclass(frozen=True, eq=False)
class Line:
    """Curve of a method in a group: accuracies in % at the perturbation sizes `eps`.

    `at` is the evaluation's eps, `worst` the accuracy there in the worst case of the attacks.
    """

    method: str
    flagged: bool
    doubted: bool
    reference: bool
    always: bool
    eps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at: float
    worst: float

    def value(self, curve: np.ndarray) -> float:
        """Value of one of the curves at the eps of the evaluation."""
        return float(np.interp(self.at, self.eps, curve))


def lines(members: Sequence[Record]) -> list[Line]:
    """Build the curves of a group, by falling accuracy in the worst case at the evaluation's eps.

    The band of several seeds is the envelope of their Wilson intervals. Models without a curve have
    no line. Seeds with different grids are a UserError.
    """
    drawn = []
    for method, rows in across_seeds([r for r in members if r.get("curve")]).items():
        curves = [row["curve"] for row in rows]
        if any(curve["eps"] != curves[0]["eps"] for curve in curves):
            raise UserError(f"{method}: the seeds' curves are on different grids of eps")
        drawn.append(
            Line(
                method=method,
                flagged=any(row["status"] != "ok" for row in rows),
                doubted=doubted(rows),
                reference=is_reference(rows[0]),
                always=always_shown(rows[0]),
                eps=np.array(curves[0]["eps"]),
                mean=100 * np.mean([c["accuracy"] for c in curves], axis=0),
                low=100 * np.min([c["low"] for c in curves], axis=0),
                high=100 * np.max([c["high"] for c in curves], axis=0),
                at=rows[0]["eps"],
                worst=100 * float(np.mean([row["worst_accuracy"] for row in rows])),
            )
        )
    return sorted(drawn, key=lambda line: (-line.worst, line.method))


def highlighted(curves: Sequence[Line], options: Options = DEFAULT) -> set[str]:
    """Methods that are drawn in their own style: those asked for, else the best, and references.

    Variants of references come after all methods, where they are not asked for.
    """
    own = [line.method for line in sorted(curves, key=lambda line: line.reference)]
    own = [key for key in own if key in options.methods or not options.methods]
    always = {line.method for line in curves if line.always}
    chosen = [key for key in own if key not in always][:HIGHLIGHTED]
    return always | set(chosen)


def draw(
    axes: Axes, curves: Sequence[Line], record: Record, look: Mapping[str, Style], shown: set[str]
) -> None:
    """Draw a group's curves: grey and bands below, the best on top, marked at the record's eps.

    More than `MOST_BANDS` bands would only lie over one another, and there are none.
    """
    scale = scale_of(record)
    eps = record["eps"] * scale
    axes.axvline(eps, color="#8c8c8c", linewidth=0.7, zorder=1)
    shade = 0.18 if len(curves) <= 4 else 0.09
    for depth, line in enumerate(reversed(curves)):
        style, x = look[line.method], line.eps * scale
        if line.method not in shown:
            axes.plot(x, line.mean, color=REST, lw=0.6, zorder=1.5)
            continue
        colour, order = style.colour, 3 + depth / 100
        if len(curves) <= MOST_BANDS:
            axes.fill_between(x, line.low, line.high, color=colour, alpha=shade, lw=0, zorder=2)
        _line(axes, line, x, style, order)
        axes.plot(eps, line.worst, style.marker, color=colour, ms=3.2, mew=0, zorder=5)
    axes.set(xlim=(0, max((c.eps[-1] * scale for c in curves), default=2 * eps)), ylim=(0, 100))
    axes.set_yticks(range(0, 101, 20))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 8] if scale > 1 else [1, 2, 5]))


def _line(axes: Axes, line: Line, x: np.ndarray, style: Style, order: float) -> None:
    """Draw one curve; beyond eps dotted where it is doubted."""
    width = 0.7 if line.flagged else 0.9 if line.reference else 1.3
    inside = line.eps <= line.at * (1 + 1e-9)
    if not line.doubted or inside.all():
        axes.plot(x, line.mean, color=style.colour, ls=style.dash, lw=width, zorder=order)
        return
    last = int(inside.sum()) - 1
    axes.plot(
        x[inside], line.mean[inside], color=style.colour, ls=style.dash, lw=width, zorder=order
    )
    beyond, y = x[last:], line.mean[last:]
    axes.plot(beyond, y, color=style.colour, ls=(0, (0.6, 2.2)), lw=0.8, zorder=order)


def rank(
    axes: Axes,
    members: Sequence[Record],
    methods: Mapping[str, Record],
    look: Mapping[str, Style],
) -> None:
    """Rank the methods by their worst case; samples of their lines make it the curves' legend."""
    ranked = ranking.entries(members)
    ranking.draw(axes, ranked, look, named(members, methods), ATTACKS)
    margin = axes.get_yaxis_transform()
    for place, entry in enumerate(ranked):
        style = look[entry.method]
        sample = Line2D([-0.13, -0.02], [place, place], transform=margin, clip_on=False)
        sample.set(color=style.colour, linestyle=style.dash, linewidth=1.2)
        axes.add_line(sample)
    axes.tick_params(axis="y", length=0, pad=25)
    axes.set_xlim(left=0)


def group_figure(
    group: Group,
    members: Sequence[Record],
    methods: Mapping[str, Record],
    options: Options = DEFAULT,
) -> Figure:
    """Draw one group: the curves, and below the ranking of those that are highlighted.

    At page width the ranking stands beside the curves.
    """
    curves, styles = lines(members), look(members, methods)
    shown = highlighted(curves, options)
    listed = [r for r in members if r["method"] in shown and r.get("curve")]
    heights = (2.6, options.line * (1.1 * len(shown) + 7))
    beside = options.inches() > 5
    with matplotlib.rc_context(options.settings):
        height = max(heights) if beside else sum(heights)
        drawn = Figure(figsize=(options.inches(), height), layout="constrained")
        grid: dict[str, Any] = {"ncols": 2} if beside else {"nrows": 2, "height_ratios": heights}
        parts: Any = drawn.subfigures(**grid)
        options.head(parts[0], options.title(group))
        axes = parts[0].subplots()
        draw(axes, curves, members[0], styles, shown)
        axes.set(xlabel=eps_label(members[0]), ylabel="Accuracy under HO-FMN (%)")
        axes = parts[1].subplots()
        rank(axes, listed, methods, styles)
        axes.set_xlabel(f"Worst case at ε = {members[0]['eps_text']} (%)")
        several = any(len(own) > 1 for own in across_seeds(listed).values())
        ranking.legend(parts[1], ATTACKS, several, len(curves) - len(shown))
    return drawn


def overview(
    rows: Sequence[Record], methods: Mapping[str, Record], options: Options = DEFAULT
) -> Figure:
    """Draw all groups as small multiples; every dataset and arch starts a new row."""
    if not rows:
        return empty("no net could be had")
    grouped, styles = groups(rows), look(rows, methods)
    grid = _grid(list(grouped))
    curves = {group: lines(members) for group, members in grouped.items()}
    shown = {group: highlighted(found, options) for group, found in curves.items()}
    named_in = [line for g, found in curves.items() for line in found if line.method in shown[g]]
    names = named(rows, methods)
    entries = [(styles[key], names[key]) for key in _ranked(named_in)]
    columns = len(grid[0])
    width = options.width or max(3.5, 2.35 * columns)
    across = _across(columns, width, entries)
    with matplotlib.rc_context(options.settings):
        height = 1.85 * len(grid) + 0.3 + 1.1 * options.line * -(-len(entries) // across)
        drawn = Figure(figsize=(width, height), layout="constrained")
        panels = drawn.subplots(len(grid), columns, sharey=True, squeeze=False)
        for axes, group in zip(panels.flat, (g for row in grid for g in row), strict=True):
            if group is None:
                axes.set_axis_off()
                continue
            draw(axes, curves[group], grouped[group][0], styles, shown[group])
            axes.set_title(f"{group[0]}, {group[1]}\n{group_title(group)}")
            axes.set_xlabel(eps_label(grouped[group][0]))
        drawn.supylabel("Accuracy under HO-FMN (%)", fontsize="medium")
        options.head(drawn)
        legend(drawn, entries, across)
    return drawn


def write_groups(
    rows: Sequence[Record],
    methods: Mapping[str, Record],
    folder: str | Path,
    options: Options = DEFAULT,
    formats: Sequence[str] = ("pdf", "png"),
) -> None:
    """Write every group's figure as `<dataset>-<arch>-<structure>-<sparsity>` in `folder`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for group, members in groups(rows).items():
        drawn = group_figure(group, members, methods, options)
        for suffix in formats:
            save(drawn, Path(folder) / f"{stem(*group)}.{suffix}")


def _grid(order: Sequence[Group]) -> list[list[Group | None]]:
    """Arrange groups in rows of equal length, at most 3, padded with None."""
    by_setting: dict[tuple[str, str], list[Group | None]] = {}
    for group in order:
        by_setting.setdefault(group[:2], []).append(group)
    widest = max(map(len, by_setting.values()))
    columns = columns_of(widest)
    rows = [s[i : i + columns] for s in by_setting.values() for i in range(0, len(s), columns)]
    return [row + [None] * (columns - len(row)) for row in rows]


def _ranked(found: Iterable[Line]) -> list[str]:
    """Methods for the common legend, by falling mean of their worst cases."""
    by_method: dict[str, list[float]] = {}
    for line in found:
        by_method.setdefault(line.method, []).append(line.worst)
    return sorted(by_method, key=lambda m: (-float(np.mean(by_method[m])), m))


def _across(columns: int, width: float, entries: Sequence[tuple[Style, str]]) -> int:
    """Columns of the legend."""
    longest = max((len(name) for _, name in entries), default=0)
    across = {1: 2, 2: 4}.get(columns, 5)
    if longest > 20:  # a letter takes a twentieth of an inch
        across = min(across, max(1, int(width / (0.4 + longest / 20))))
    return across
