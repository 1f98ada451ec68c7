"""Security evaluation curves: accuracy under attack against the size of the perturbation.

One figure per group of comparable models, and an overview with all groups as small multiples. Every
method keeps its colour and line style in all figures; dense nets and references are dashed grey.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from advprune.base.errors import UserError
from advprune.base.files import atomic
from advprune.report.records import (
    LARGEST_SPREAD,
    REFERENCES,
    Group,
    Record,
    across_seeds,
    group_title,
    groups,
    names,
    records,
    reference_of,
    seed_spread,
    spread_mark,
)
from advprune.report.style import SETTINGS, Style, labels, styles

MOST_BANDS = 8
CAPTION = (
    "Accuracy on the test images when each may be perturbed by up to ε, from the minimum-norm "
    "distances of HO-FMN. One seed: the band is the 95 % Wilson interval. Several seeds: the line "
    "is their mean and the band reaches from the lowest to the highest end of their own intervals, "
    "so it covers both the choice of images and the training. More than eight curves are drawn "
    "without bands. The vertical line is the ε of the leaderboard; the ranking gives the accuracy "
    "there. Dashed grey: dense nets and references. ↕ marks a method whose seeds are more than "
    f"{100 * LARGEST_SPREAD:g} points apart in the worst case. Seeds flagged in the leaderboard "
    "are left out; † marks a method with no other, drawn thin."
)


@dataclass(frozen=True, eq=False)
class Line:
    """Curve of a method in a group: accuracies in % at the perturbation sizes `eps`."""

    method: str
    flagged: bool
    spread: str
    eps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at: float

    def value(self, curve: np.ndarray) -> float:
        """Value of one of the curves at the eps of the evaluation."""
        return float(np.interp(self.at, self.eps, curve))


def lines(members: Sequence[Record]) -> list[Line]:
    """Build the curves of a group, by falling accuracy at the evaluation's eps.

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
                spread=spread_mark(seed_spread(rows)),
                eps=np.array(curves[0]["eps"]),
                mean=100 * np.mean([c["accuracy"] for c in curves], axis=0),
                low=100 * np.min([c["low"] for c in curves], axis=0),
                high=100 * np.max([c["high"] for c in curves], axis=0),
                at=rows[0]["eps"],
            )
        )
    return sorted(drawn, key=lambda line: (-line.value(line.mean), line.method))


def draw(axes: Axes, curves: Sequence[Line], record: Record, look: Mapping[str, Style]) -> None:
    """Draw a group's curves: bands below, the best line on top, each marked at the record's eps.

    More than `MOST_BANDS` bands would only lie over one another, and there are none.
    """
    scale = _scale(record)
    eps = record["eps"] * scale
    axes.axvline(eps, color="#8c8c8c", linewidth=0.7, zorder=1)
    shade = 0.18 if len(curves) <= 4 else 0.09
    for depth, line in enumerate(reversed(curves)):
        style, x, order = look[line.method], line.eps * scale, 3 + depth / 100
        colour, width = style.colour, 0.7 if line.flagged else 1.2
        if len(curves) <= MOST_BANDS:
            axes.fill_between(x, line.low, line.high, color=colour, alpha=shade, lw=0, zorder=2)
        axes.plot(x, line.mean, color=colour, ls=style.dash, lw=width, zorder=order)
        axes.plot(eps, line.value(line.mean), style.marker, color=colour, ms=3, mew=0, zorder=5)
    axes.set(xlim=(0, max((c.eps[-1] * scale for c in curves), default=2 * eps)), ylim=(0, 100))
    axes.set_yticks(range(0, 101, 20))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 8] if scale > 1 else [1, 2, 5]))


def rank(
    axes: Axes, curves: Sequence[Line], methods: Mapping[str, Record], look: Mapping[str, Style]
) -> None:
    """Draw accuracy at eps with its band as a ranking, which is the legend of the curves too."""
    for place, line in enumerate(curves):
        style, value = look[line.method], line.value(line.mean)
        ends = [line.value(line.low), line.value(line.high)]
        axes.plot(ends, [place, place], color=style.colour, lw=1, solid_capstyle="butt")
        axes.plot(value, place, style.marker, color=style.colour, ms=3.5, mew=0)
        margin = axes.get_yaxis_transform()
        axes.text(1.12, place, f"{value:.1f}", ha="right", va="center", transform=margin)
        sample = Line2D([-0.13, -0.02], [place, place], transform=margin, clip_on=False)
        sample.set(color=style.colour, linestyle=style.dash, linewidth=1.2)
        axes.add_line(sample)
    axes.set_yticks(range(len(curves)), [_name(line, methods) for line in curves])
    axes.tick_params(axis="y", length=0, pad=25)
    axes.set(ylim=(max(len(curves), 1) - 0.5, -0.5))
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def group_figure(group: Group, members: Sequence[Record], methods: Mapping[str, Record]) -> Figure:
    """Draw one group at column width (3.5 inches): the curves, and the ranking at eps below."""
    curves, look = lines(members), _look(members, methods)
    heights = (2.1, 0.135 * len(curves) + 0.1)
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(3.5, sum(heights) + 0.9), layout="constrained")
        top, bottom = figure.subplots(2, height_ratios=heights)
        draw(top, curves, members[0], look)
        top.set_title(f"{group[0]}, {group[1]}: {group_title(group)}", loc="right")
        top.set(xlabel=_eps_label(members[0]), ylabel="Accuracy under attack (%)")
        rank(bottom, curves, methods, look)
        bottom.set_xlabel(f"Accuracy at ε = {members[0]['eps_text']} (%)")
    return figure


def overview(evaluations: Sequence[Record], methods: Mapping[str, Record]) -> Figure:
    """Draw all groups as small multiples; every dataset and arch starts a new row."""
    if not evaluations:
        return _empty()
    rows = records(evaluations)
    grouped, look = groups(rows), _look(rows, methods)
    grid = _grid(list(grouped))
    curves = {group: lines(members) for group, members in grouped.items()}
    legend = _ranked(curves.values())
    columns = len(grid[0])
    width = max(3.5, 2.35 * columns)
    entries = [(look[line.method], _name(line, methods)) for line in legend]
    longest = max((len(name) for _, name in entries), default=0)
    across = {1: 2, 2: 4}.get(columns, 5)
    if longest > 20:  # a letter takes a twentieth of an inch
        across = min(across, max(1, int(width / (0.4 + longest / 20))))
    with matplotlib.rc_context(SETTINGS):
        height = 1.85 * len(grid) + 0.3 + 0.15 * -(-len(legend) // across)
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(len(grid), columns, sharey=True, squeeze=False)
        for axes, group in zip(panels.flat, (g for row in grid for g in row), strict=True):
            if group is None:
                axes.set_axis_off()
                continue
            draw(axes, curves[group], grouped[group][0], look)
            axes.set_title(f"{group[0]}, {group[1]}\n{group_title(group)}")
            axes.set_xlabel(_eps_label(grouped[group][0]))
        figure.supylabel("Accuracy under attack (%)", fontsize=7.5)
        _legend(figure, entries, across)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a PDF or PNG (150 dpi) without dates or versions: equal figures give equal bytes."""
    path = Path(path)
    empty = {".pdf": ("CreationDate", "Creator", "Producer"), ".png": ("Software",)}
    with atomic(path) as temporary, matplotlib.rc_context(SETTINGS):
        figure.savefig(temporary, dpi=150, metadata=dict.fromkeys(empty[path.suffix]))


def write_groups(
    evaluations: Sequence[Record], methods: Mapping[str, Record], folder: str | Path
) -> None:
    """Write PDF and PNG of every group as `<dataset>-<arch>-<structure>-<sparsity>` in `folder`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    rows = records(evaluations)
    for group, members in groups(rows).items():
        figure = group_figure(group, members, methods)
        stem = "-".join([*group[:3], f"{group[3]:g}"])
        for suffix in (".pdf", ".png"):
            save(figure, Path(folder) / f"{stem}{suffix}")


def _empty() -> Figure:
    """What a run shows none of whose released files could be had."""
    figure = Figure(figsize=(3.5, 1.0), layout="constrained")
    figure.text(0.5, 0.5, "no net could be had", ha="center", va="center")
    return figure


def _look(members: Sequence[Record], methods: Mapping[str, Record]) -> dict[str, Style]:
    dense = {row["method"] for row in members if row["structure"] == "none"}
    kinds = {key: key for key in methods if key in REFERENCES}
    kinds |= {row["method"]: kind for row in members if (kind := reference_of(row))}
    return styles([*methods, *(row["method"] for row in members)], dense, kinds)


def _name(line: Line, methods: Mapping[str, Record]) -> str:
    marks = f" {line.spread}" * bool(line.spread) + "†" * line.flagged
    return labels(names(methods)).get(line.method, line.method) + marks


def _scale(record: Record) -> int:
    """Return 255 where eps is written in pixel steps, so that the axis is too."""
    return 255 if record["eps_text"].endswith("/255") else 1


def _eps_label(record: Record) -> str:
    norm = record["norm"].replace("Linf", "ℓ∞")
    return f"Perturbation size ε{' · 255' if _scale(record) > 1 else ''} ({norm})"


def _grid(order: Sequence[Group]) -> list[list[Group | None]]:
    """Arrange groups in rows of equal length, at most 3, padded with None."""
    by_setting: dict[tuple[str, str], list[Group | None]] = {}
    for group in order:
        by_setting.setdefault(group[:2], []).append(group)
    widest = max(map(len, by_setting.values()))
    columns = {1: 1, 2: 2, 4: 2}.get(widest, 3)
    rows = [s[i : i + columns] for s in by_setting.values() for i in range(0, len(s), columns)]
    return [row + [None] * (columns - len(row)) for row in rows]


def _ranked(panels: Iterable[Sequence[Line]]) -> list[Line]:
    """One line per method for the common legend, by falling mean accuracy at eps."""
    by_method: dict[str, list[Line]] = {}
    for line in (line for panel in panels for line in panel):
        # a method is marked as flagged here only if it is in every panel
        same = by_method.setdefault(line.method, [])
        same.insert(len(same) if line.flagged else 0, line)
    means = {m: np.mean([x.value(x.mean) for x in same]) for m, same in by_method.items()}
    return [by_method[m][0] for m in sorted(means, key=lambda m: (-means[m], m))]


def _legend(figure: Figure, entries: Sequence[tuple[Style, str]], columns: int) -> None:
    handles = [
        Line2D([], [], color=s.colour, ls=s.dash, lw=1.2, marker=s.marker, ms=3, mew=0, label=text)
        for s, text in entries
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=2.6, fontsize=6.5
    )
