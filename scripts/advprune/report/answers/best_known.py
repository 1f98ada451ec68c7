"""The best-known curve beside HO-FMN's: how much HO-FMN alone overstates, model by model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advprune.base import text
from advprune.report.answers import words
from advprune.report.answers.means import PLACE, in_order, means, models
from advprune.report.answers.pictures import picture
from advprune.report.answers.section import Grid, Picture, Section
from advprune.report.figures.canvas import columns_of, eps_label, scale_of
from advprune.report.figures.style import COLOURS, LONGEST, SETTINGS
from advprune.report.records import (
    Group,
    Record,
    across_seeds,
    group_of,
    group_title,
    groups,
    records,
)

MOST_PANELS = 12
MOST_ROWS = 15
COLUMNS = [
    *(*PLACE, "method", "seeds", "worst", "best_accuracy"),
    *("hofmn_area", "area", "overstated", "nearer", "hofmn_beyond", "beyond"),
    *("place_worst", "place_hofmn", "place_area"),
]


def table(evaluations: Sequence[Record]) -> pd.DataFrame:
    """One row per method and group, means over seeds that are not flagged.

    `area` is the mean height of the best-known curve from no perturbation to twice eps,
    `hofmn_area` that of HO-FMN's, `overstated` their difference, all shares in [0, 1]; `nearer` is
    the share of images for which something is nearer than HO-FMN by more than a thousandth. Places
    count from 1 within the group, by the worst case at eps and by the two areas.
    """
    frame = means(models(evaluations)).rename(
        columns={f"best_{name}": name for name in ("area", "hofmn_area", "beyond", "hofmn_beyond")}
    )
    frame = frame[frame["area"].notna()]
    frame["overstated"] = frame["hofmn_area"] - frame["area"]
    frame["nearer"] = frame["best_nearer"] / frame["images"]
    ranked = frame.groupby(PLACE)
    for name, column in (("worst", "worst"), ("hofmn", "hofmn_area"), ("area", "area")):
        place = ranked[column].rank(method="min", ascending=False)
        frame[f"place_{name}"] = place.astype("Int64")
    return in_order(frame[COLUMNS], "place_area", "method")


def answer(
    evaluations: Sequence[Record],
    names: Mapping[str, str],
    others: Sequence[Record] = (),
    files: Sequence[Path] = (),
) -> tuple[pd.DataFrame, Section]:
    """The table and what it says; `others` are rows of other_attacks.json."""
    frame = table(evaluations)
    return frame, section(evaluations, names, frame, others, files)


def section(
    evaluations: Sequence[Record],
    names: Mapping[str, str],
    frame: pd.DataFrame,
    others: Sequence[Record],
    files: Sequence[Path],
) -> Section:
    """What the curves say; `others` are rows of other_attacks.json, none where not asked for."""
    grids = [_by_group(frame, names), _most_overstated(frame, names)] if len(frame) else []
    told = [*_text(frame, names), *_of_others(others)]
    drawn = [_picture(evaluations, names, files)]
    return Section("best_known", "Best-known curve", told, drawn, grids)


def _text(frame: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    said = [
        "For every image: the smallest perturbation by which anything here has changed the answer "
        "(HO-FMN's distance; eps where AutoAttack broke the image; for images that HO-FMN had "
        "missed, the point from which FMN was started once more). The curve counts the images that "
        "are farther. It is an upper bound of robustness, as every curve is, and never above "
        "HO-FMN's. Height is the mean of a curve from no perturbation to twice eps, in % of the "
        "test images.",
        "AutoAttack has looked at eps only. Beyond eps the curve is HO-FMN's without the images "
        "that were broken within eps, so that tails beyond eps remain upper bounds that nobody "
        "has tried to lower; between two nets there, little is certain.",
    ]
    if not len(frame):
        return [*said, "No evaluation of this run has a best-known curve."]
    top = frame.sort_values("overstated", ascending=False).iloc[0]
    moved = frame[frame["place_hofmn"] != frame["place_area"]]
    far = frame[(frame["place_hofmn"] - frame["place_area"]).abs() >= 3]
    said.append(
        f"HO-FMN alone overstates the height by {words.share(frame['overstated'].mean())} "
        f"points in the mean of {words.count(len(frame), 'row')} (a row is a method in a group), "
        f"and by {words.share(top['overstated'])} at most: "
        f"{names.get(top['method'], top['method'])}, {words.place(top)}. "
        f"{len(moved)} rows have another place in their group by the best-known height than by "
        f"HO-FMN's, {len(far)} of them by three places or more. Places are an order of means, not "
        "a claim that neighbours differ. A net with many images beyond twice eps is high by points "
        "that nobody has found, which may be robustness and may be failed attacks."
    )
    return said


def _of_others(others: Sequence[Record]) -> list[str]:
    """What attacks of other libraries add, on their sample of the images."""
    known = pd.DataFrame([row for row in others if "area" in row])
    if not len(known):
        return []
    identity = [*PLACE, "method", "seed"]
    last = known.groupby(identity, sort=False).tail(1)
    gain = last["area_so_far"] - last["area"]
    return [
        f"Attacks of other libraries, on the first {words.spread(last['images'])} test images of "
        f"{words.count(len(last), 'model')}: with their points the height there falls by "
        f"{words.share(gain.mean())} points in the mean and {words.share(gain.max())} "
        "at most. The curves above are without them, because they have not seen all images."
    ]


def _by_group(frame: pd.DataFrame, names: Mapping[str, str]) -> Grid:
    rows = []
    for _, own in frame.groupby(PLACE, sort=False):
        by_hofmn, by_area, by_worst = (
            names.get(m, m)
            for m in (
                own.sort_values([f"place_{by}", "method"])["method"].iloc[0]
                for by in ("hofmn", "area", "worst")
            )
        )
        over = own["overstated"]
        told = [f"{100 * v:.1f}" for v in (over.mean(), over.max())]
        places = [words.place(own.iloc[0]), str(len(own))]
        rows.append([*places, *told, by_hofmn, by_area, by_worst])
    header = ["Group", "Methods", "Overstated, mean", "most", "First by HO-FMN's height"]
    header += ["First by the best-known", "First in the worst case at eps"]
    caption = "Points of height by which HO-FMN alone overstates, and who comes first by what."
    return Grid(header, rows, caption)


def _most_overstated(frame: pd.DataFrame, names: Mapping[str, str]) -> Grid:
    chosen = frame.sort_values("overstated", ascending=False, kind="stable").head(MOST_ROWS)
    rows = [
        [
            names.get(row["method"], row["method"]),
            words.place(row),
            *(words.share(row[key]) for key in ("worst", "area", "hofmn_area", "overstated")),
            *(words.share(row[key]) for key in ("nearer", "hofmn_beyond", "beyond")),
            f"{row['place_hofmn']} → {row['place_area']}",
        ]
        for _, row in chosen.iterrows()
    ]
    header = ["Method", "Group", "Worst case", "Height", "HO-FMN's", "Overstated"]
    header += ["Images nearer", "HO-FMN beyond 2 eps", "Beyond 2 eps", "Place"]
    caption = (
        f"The {len(rows)} rows that HO-FMN overstates most, in % and points; all are in "
        "best_known.csv. Place in the group by HO-FMN's height → by the best-known one."
    )
    return Grid(header, rows, caption)


def _picture(
    evaluations: Sequence[Record], names: Mapping[str, str], files: Sequence[Path]
) -> Picture:
    """Curves of the largest groups; of flagged models nothing is drawn."""
    known = [row for row in records(evaluations) if row.get("best_known")]
    rows = [row for row in known if row["status"] == "ok"]
    members = {g: [r for r in own if group_of(r) == g] for g, own in groups(rows).items()}
    pruned = {group: own for group, own in members.items() if own}
    shown = sorted(pruned, key=lambda g: -len(pruned[g]))[:MOST_PANELS]
    order = [group for group in pruned if group in shown]
    columns = columns_of(len(order))
    down = max(1, -(-len(order) // columns))
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(2.4 * columns + 0.4, 2.2 * down + 0.7), layout="constrained")
        panels = figure.subplots(down, columns, squeeze=False, sharey=True)
        for axes, group in zip(panels.flat, order, strict=False):
            _draw(axes, group, pruned[group], names)
        for axes in panels.flat[len(order) :]:
            axes.set_axis_off()
        figure.supylabel("Images farther (%)", fontsize=7.5)
        if order:
            handles, labels = panels.flat[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=6.5)
    left = len(pruned) - len(order)
    caption = (
        "Mean curves over the methods of a group: HO-FMN alone, and the nearest point that "
        "anything found; the area between them is what HO-FMN overstates. Orange: the method for "
        "which it is largest, dashed by HO-FMN alone. The vertical line is eps, where AutoAttack "
        "has looked."
    )
    caption += f" {left} smaller groups are not drawn." * (left > 0)
    return picture(figure, "Security curves by HO-FMN and best known, by group", caption, *files)


def _draw(axes: Axes, group: Group, members: Sequence[Record], names: Mapping[str, str]) -> None:
    """One group: mean over methods, each the mean of its seeds, and the most overstated one."""
    methods = across_seeds(members)
    scale = scale_of(members[0])
    eps = scale * np.array(members[0]["curve"]["eps"])
    ours, best = (
        {
            method: 100 * np.mean([_of(row, which)["accuracy"] for row in rows], axis=0)
            for method, rows in methods.items()
        }
        for which in ("curve", "best_known")
    )
    low, high = (np.mean(list(curves.values()), axis=0) for curves in (best, ours))
    worst = max(methods, key=lambda m: (float(np.sum(ours[m] - best[m])), m))
    axes.fill_between(eps, low, high, color=COLOURS[0], alpha=0.2, lw=0)
    axes.plot(eps, high, color="#6e6e6e", ls=(0, (4, 2)), lw=1, label="HO-FMN alone: mean")
    axes.plot(eps, low, color=COLOURS[0], lw=1.2, label="best known: mean")
    most: dict[str, Any] = {"color": COLOURS[1], "lw": 0.9}
    axes.plot(eps, ours[worst], ls=(0, (4, 2)), label="HO-FMN alone: most overstated", **most)
    axes.plot(eps, best[worst], label="best known: most overstated", **most)
    axes.axvline(scale * members[0]["eps"], color="#8c8c8c", lw=0.7, zorder=1)
    axes.set(xlim=(0, eps[-1]), ylim=(0, 100), xlabel=eps_label(members[0]))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 8] if scale > 1 else [1, 2, 5]))
    name = text.short(names.get(worst, worst), LONGEST)
    axes.set_title(f"{group[0]}, {group[1]}\n{group_title(group)}\norange: {name}")


def _of(row: Record, which: str) -> Record:
    found: Record = row["curve"] if which == "curve" else row["best_known"]["curve"]
    return found
