"""The ranking at a glance: every method with its interval, its seeds and both attacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from advprune.report.figures.canvas import DEFAULT, Options, look, named
from advprune.report.figures.style import REST, Style
from advprune.report.records import LARGEST_SPREAD, Group, Record, across_seeds

SHORT = 26  # letters of a name: at column width the intervals need the rest
INK, FAINT = "#3c3c3c", "#8c8c8c"
# every attack has a mark of its own, none of which a method has
ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoattack": ("AutoAttack", {"marker": "|", "ms": 6.5, "mew": 0.9, "color": INK}),
    "hofmn": ("HO-FMN", {"marker": "x", "ms": 2.8, "mew": 0.7, "color": INK}),
    "clean": ("clean", {"marker": "o", "ms": 2.2, "mew": 0.6, "mfc": "none", "color": FAINT}),
}
CAPTION = (
    "Accuracy in the worst case of both attacks, best method first; its number stands at the "
    "right. Bars: 95 % Wilson intervals, for several seeds from the lowest end of their own to the "
    "highest; dots: single seeds. Where the cross of HO-FMN or the stroke of AutoAttack stands to "
    "the right of the mark, that attack alone would rank the method too high. Dashed: dense net. "
    "? an indicator says that the attacks may have missed points; ↕ seeds differ by more than "
    f"{100 * LARGEST_SPREAD:g} points; † flagged, and no seed that is not."
)


@dataclass(frozen=True)
class Entry:
    """A method in a group, in %: means over seeds, the ends of its intervals, every seed."""

    method: str
    worst: float
    low: float
    high: float
    seeds: list[float]
    attacks: dict[str, float]
    dense: bool
    variant: bool


def entries(members: Sequence[Record]) -> list[Entry]:
    """The methods of a group by falling worst case; those without a number are left out."""
    found = []
    for method, rows in across_seeds(members).items():
        counted = [row for row in rows if not pd.isna(row["worst_accuracy"])]
        if not counted:
            continue
        means = {
            key: 100 * fmean(row[f"{key}_accuracy"] for row in counted)
            for key in ("worst", *ATTACKS)
        }
        found.append(
            Entry(
                method=method,
                worst=means.pop("worst"),
                low=100 * min(row["worst_low"] for row in counted),
                high=100 * max(row["worst_high"] for row in counted),
                seeds=[100 * row["worst_accuracy"] for row in counted],
                attacks=means,
                dense=rows[0]["structure"] == "none",
                variant=bool(rows[0].get("variant_of")),
            )
        )
    return sorted(found, key=lambda entry: (-entry.worst, entry.method))


def draw(
    axes: Axes,
    ranked: Sequence[Entry],
    look: Mapping[str, Style],
    names: Mapping[str, str],
    attacks: Sequence[str] = ("autoattack", "hofmn", "clean"),
) -> None:
    """Draw one line per method: interval, seeds, the mean in the method's mark, the attacks."""
    for entry in [e for e in ranked if e.dense and not e.variant]:
        axes.axvline(entry.worst, color=FAINT, ls=(0, (4, 2)), lw=0.7, zorder=1)
    for place, entry in enumerate(ranked):
        style = look[entry.method]
        ends = [entry.low, entry.high]
        axes.plot(ends, [place] * 2, color=style.colour, lw=2.2, alpha=0.35, solid_capstyle="butt")
        if len(entry.seeds) > 1:
            below = [place + 0.3] * len(entry.seeds)
            axes.plot(entry.seeds, below, "o", color=style.colour, ms=1.5, mew=0, alpha=0.8)
        for key in attacks:
            axes.plot(entry.attacks[key], place, ls="", zorder=4, **ATTACKS[key][1])
        axes.plot(entry.worst, place, style.marker, color=style.colour, ms=3.8, mew=0, zorder=5)
        margin = axes.get_yaxis_transform()
        axes.text(1.17, place, f"{entry.worst:.1f}", ha="right", va="center", transform=margin)
    axes.set_yticks(range(len(ranked)), [names[entry.method] for entry in ranked])
    axes.set(ylim=(max(len(ranked), 1) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def legend(
    figure: Figure | SubFigure, attacks: Sequence[str], several: bool, others: int = 0
) -> None:
    """What the marks mean, at the foot of the figure; `others` are methods drawn in grey."""
    interval = Line2D([], [], color=FAINT, lw=2.2, alpha=0.6, marker="o", ms=3.8, mec=INK, mfc=INK)
    handles = [(interval, "worst case, 95 %")]
    if several:
        handles.append((Line2D([], [], ls="", marker="o", ms=1.5, mew=0, color=INK), "one seed"))
    handles += [(Line2D([], [], ls="", **ATTACKS[key][1]), ATTACKS[key][0]) for key in attacks]
    if others:
        handles.append(
            (Line2D([], [], color=REST, lw=1), f"{others} other method{'s' * (others > 1)}")
        )
    lines, told = zip(*handles, strict=True)
    figure.legend(
        lines,
        told,
        loc="outside lower center",
        ncols=len(handles) if len(handles) < 5 else 3,
        handlelength=1.6,
        columnspacing=1.2,
        fontsize="small",
    )


def figure(
    group: Group,
    members: Sequence[Record],
    methods: Mapping[str, Record],
    options: Options = DEFAULT,
) -> Figure:
    """Draw the ranking of one group at column width."""
    members = options.chosen(members)
    ranked = entries(members)
    with matplotlib.rc_context(options.settings):
        lines = 1.2 * max(len(ranked), 3) + 7.5 + 2 * bool(options.note)
        size = (options.inches(), lines * options.line)
        drawn = Figure(figsize=size, layout="constrained")
        axes = drawn.subplots()
        draw(axes, ranked, look(members, methods), named(members, methods, SHORT))
        axes.set(xlim=(0, 101))
        options.head(drawn, options.title(group))
        axes.set_xlabel(f"Accuracy at ε = {members[0]['eps_text']} (%)")
        legend(drawn, list(ATTACKS), any(len(entry.seeds) > 1 for entry in ranked))
    return drawn
