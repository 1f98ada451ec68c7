"""Trade-offs: robustness against sparsity, clean accuracy and cost, with the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from advprune.report.figures.canvas import (
    DEFAULT,
    Options,
    always_shown,
    is_reference,
    legend,
    look,
    named,
)
from advprune.report.figures.curves import HIGHLIGHTED
from advprune.report.figures.scatter import FRONT, Panel, best, scatter
from advprune.report.figures.style import REST, Style
from advprune.report.records import (
    STRUCTURES,
    Group,
    Record,
    across_seeds,
    group_of,
    group_title,
)

COSTS = {
    "one_compact_ms": "Latency of one image (ms)",
    "compact_macs": "MACs of one image",
    "nonzero": "Weights that are left",
    "epochs": "Epochs of training",
}
ACCURACIES = ("worst_accuracy", "clean_accuracy")
# differences of a cost that say nothing: noise of the clock, and rounding within layers
EQUAL = {"one_compact_ms": 0.1, "compact_macs": 0.01, "nonzero": 0.01, "epochs": 0.0}
FEWEST = 3  # values of a cost without which there is no trade-off to see
CAPTIONS = {
    "sparsity": (
        "Worst case of both attacks against sparsity, means over seeds, the lowest and highest "
        f"seed as strokes; the share of weights that stay falls to the right. The {HIGHLIGHTED} "
        "best on average are highlighted, the rest is grey; dashed grey: references, and as a "
        "level line the dense net."
    ),
    "clean": (
        "Worst case of both attacks against accuracy on clean images, means over seeds. Joined by "
        "steps: the Pareto front, of pruned nets that no other beats in both; they and the dense "
        "net have their names where there is room. The best methods are highlighted, the rest is "
        "grey. “below”: nets with less than a quarter of the best worst case, which are not drawn. "
        "The front is one of means: neighbours on and beside it need not differ."
    ),
    "cost": (
        "Worst case of both attacks against what a net costs, over all its structures and "
        "sparsities, means over seeds. Joined by steps: the Pareto front, of pruned nets that no "
        "cheaper one beats, those have their names and sparsities where there is room. Costs count "
        "as equal that differ by less than a tenth (latency) or a hundredth (operations, weights). "
        "“below”: nets with less than a quarter of the best worst case, not drawn. Latency and "
        "multiply-accumulates are those of the compact net, in which removed units are gone and "
        "single weights are not."
    ),
}


def means(rows: Sequence[Record]) -> pd.DataFrame:
    """One row per method and group: means over seeds, the worst case in % with its seeds' range.

    Flagged seeds drop out where there are others; methods without a number are left out.
    """
    by_group: dict[Group, list[Record]] = {}
    for row in rows:
        by_group.setdefault(group_of(row), []).append(row)
    found: list[dict[str, Any]] = []
    for group, members in by_group.items():
        for method, seeds in across_seeds(members).items():
            table = pd.DataFrame(seeds).reindex(columns=[*ACCURACIES, *COSTS])
            table = table.apply(pd.to_numeric).dropna(subset=["worst_accuracy"])
            if not len(table):
                continue
            told = {"method": method, "group": group, "dense": group[2] == "none"}
            told |= {"reference": is_reference(seeds[0]), "always": always_shown(seeds[0])}
            worst = 100 * table["worst_accuracy"]
            told |= {"worst": worst.mean(), "lowest": worst.min(), "highest": worst.max()}
            told |= {"clean": 100 * table["clean_accuracy"].mean()}
            found.append(told | {key: table[key].mean() for key in COSTS})
    return pd.DataFrame(found)


def sparsity_figure(
    rows: Sequence[Record], methods: Mapping[str, Record], options: Options = DEFAULT
) -> Figure | None:
    """Draw a panel per dataset, net and structure with two sparsities or more; None without any."""
    rows = options.chosen(rows)
    table, styles = means(rows), look(rows, methods)
    panels: dict[tuple[str, str, str], pd.DataFrame] = {}
    for setting, part in _settings(table):
        if setting[2] != "none" and part["group"].map(lambda g: g[3]).nunique() > 1:
            panels[setting] = part
    if not panels:
        return None
    shown = {setting: best(part) for setting, part in panels.items()}
    columns = min(len(panels), 3 if options.inches("page") > 5 else 1)
    width = options.inches("page" if columns > 1 else "column")
    lines = -(-len(panels) // columns)
    used = [key for key in styles if any(key in found for found in shown.values())]
    across = 5 if columns > 1 else 2
    with matplotlib.rc_context(options.settings):
        foot = options.line * (1.2 * -(-len(used) // across) + 2)
        drawn = Figure(figsize=(width, 2.0 * lines + foot), layout="constrained")
        grid = drawn.subplots(lines, columns, squeeze=False).flat
        for axes, (setting, part) in zip(grid, panels.items(), strict=False):
            _against_sparsity(axes, part, shown[setting], styles)
            none = (*setting[:2], "none")
            dense = table[[group[:3] == none for group in table["group"]]]
            for level in dense.loc[dense["always"], "worst"]:
                axes.axhline(level, color=FRONT, ls=(0, (4, 2)), lw=0.7, zorder=1)
            axes.set_title(", ".join(setting))
            axes.set_xlabel("Sparsity (%)")
        for axes in list(drawn.axes)[len(panels) :]:
            axes.set_axis_off()
        drawn.supylabel("Worst case (%)", fontsize="medium")
        options.head(drawn)
        shown_names = named(rows, methods)
        legend(drawn, [(styles[key], shown_names[key]) for key in used], across)
    return drawn


def clean_figure(
    rows: Sequence[Record], methods: Mapping[str, Record], options: Options = DEFAULT
) -> Figure | None:
    """Draw the worst case against clean accuracy: a panel per group, its dense net beside it."""
    rows = options.chosen(rows)
    table = means(rows)
    groups = list(dict.fromkeys(g for g in table["group"] if g[2] != "none")) if len(table) else []
    if not groups:
        return None
    panels = []
    for group in groups:
        own = table[[_beside(other, group) for other in table["group"]]]
        title = f"{group[0]}, {group[1]}\n{group_title(group)}"
        panels.append(Panel(own, "clean", title, "Accuracy on clean images (%)", sign=-1))
    return scatter(panels, rows, methods, options, most=3)


def cost_figure(
    setting: tuple[str, str],
    rows: Sequence[Record],
    methods: Mapping[str, Record],
    options: Options = DEFAULT,
) -> Figure | None:
    """Draw the worst case against every cost that is known, for one dataset and net."""
    rows = [r for r in options.chosen(rows) if (r["dataset"], r["arch"]) == setting]
    table = means(rows)
    panels = [
        Panel(table[table[key].notna()], key, "", COSTS[key], told=True, equal=EQUAL[key])
        for key in COSTS
        if len(table) and table[key].nunique() >= FEWEST
    ]
    if not panels:
        return None
    return scatter(panels, rows, methods, options, most=2, title=", ".join(setting))


def _settings(table: pd.DataFrame) -> list[tuple[tuple[str, str, str], pd.DataFrame]]:
    """The rows by dataset, net and structure, in order."""
    keys = table["group"].map(lambda group: group[:3])
    order = sorted(set(keys), key=lambda key: (*key[:2], STRUCTURES.index(key[2])))
    return [(key, table[keys == key]) for key in order]


def _against_sparsity(
    axes: Axes, part: pd.DataFrame, shown: set[str], styles: Mapping[str, Style]
) -> None:
    part = part.assign(kept=part["group"].map(lambda group: 1 - group[3]))
    for method, own in part.groupby("method"):
        own, style = own.sort_values("kept", ascending=False), styles[str(method)]
        if method not in shown:
            axes.plot(own["kept"], own["worst"], color=REST, lw=0.6, marker=".", ms=2, zorder=1.5)
            continue
        ends = (own["lowest"], own["highest"])
        axes.vlines(own["kept"], *ends, color=style.colour, lw=0.6, alpha=0.5, zorder=2)
        drawn: dict[str, Any] = {"color": style.colour, "ls": style.dash, "marker": style.marker}
        axes.plot(own["kept"], own["worst"], lw=1, ms=3.2, mew=0, zorder=3, **drawn)
    axes.set_xscale("log")
    ticks = sorted(part["kept"].unique(), reverse=True)
    axes.set_xlim(ticks[0] * 1.15, ticks[-1] / 1.15)
    axes.set_xticks(ticks, [f"{100 * (1 - kept):g}" for kept in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=0)


def _beside(group: Group, chosen: Group) -> bool:
    """Whether a group is the chosen one, or its dense nets."""
    return group == chosen or (group[2] == "none" and group[:2] == chosen[:2])
