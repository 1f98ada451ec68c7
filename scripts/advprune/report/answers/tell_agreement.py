"""The section about published numbers: pairs, ranks, and all that differs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from advprune.report.answers import agreement, means, words
from advprune.report.answers.agreement import FEWEST, LEVEL
from advprune.report.answers.means import PLACE
from advprune.report.answers.pictures import picture
from advprune.report.answers.section import Grid, Picture, Section
from advprune.report.figures.canvas import columns_of, empty
from advprune.report.figures.style import SETTINGS, styles
from advprune.report.records import Record

MOST_ROWS = 60
MOST_PANELS = 6
MOST_SENTENCES = 4


def answer(
    evaluations: Sequence[Record],
    names: Mapping[str, str],
    published: pd.DataFrame,
    files: Sequence[Path] = (),
) -> tuple[pd.DataFrame, pd.DataFrame, Section]:
    """Pairs, the agreement of their ranks, and what they say."""
    ours = means.means(means.models(evaluations))
    pairs = agreement.beside(ours, published)
    ranks = agreement.ranks(pairs)
    return pairs, ranks, section(ours, pairs, ranks, names, published, files)


def section(
    ours: pd.DataFrame,
    pairs: pd.DataFrame,
    ranks: pd.DataFrame,
    names: Mapping[str, str],
    published: pd.DataFrame,
    files: Sequence[Path],
) -> Section:
    """What the pairs say; without any, that there is none."""
    text = [_what(published), *_how_many(ours, pairs)]
    grids: list[Grid] = []
    drawn = [_picture(pairs, names, files)]
    if len(pairs):
        text += [_conditions(pairs), *_agreement(ranks), _drops(pairs, names)]
        grids = [_ranks(ranks)] * bool(len(ranks)) + [_pairs(pairs, names)]
    else:
        drawn = []
    return Section("agreement", "Published beside ours", text, drawn, grids)


def _what(published: pd.DataFrame) -> str:
    datasets = ", ".join(sorted(set(published["dataset"])))
    return (
        "Published: accuracy under AutoAttack of the authors' own checkpoints, as the survey's "
        f"leaderboard lists them ({len(published)} cells, {published['method'].nunique()} methods, "
        f"{datasets}; config/published/leaderboard.csv). None of them was measured here. Ours: the "
        "worst case of AutoAttack and HO-FMN, the mean over the seeds that are not flagged. Both "
        "in % of the test images. Variants of a method are another method's setting and have no "
        "counterpart."
    )


def _how_many(ours: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    pruned = ours[ours["structure"] != "none"]
    exact = int(pairs["exact"].sum()) if len(pairs) else 0
    if not len(pairs):
        datasets = ", ".join(sorted(set(pruned["dataset"])))
        return [
            "Nothing can be said of agreement: no published number is of a dataset and method of "
            f"this run ({datasets}). A ranking on one dataset says nothing of another."
        ]
    return [
        f"Of {len(pruned)} rows (a row is a method in a group: dataset, net, structure and "
        f"sparsity), {exact} have a published counterpart of the same method, dataset, net, kind "
        f"of structure and sparsity; {len(pairs) - exact} have one of another net or sparsity, the "
        "nearest there is."
    ]


def _conditions(pairs: pd.DataFrame) -> str:
    ours, theirs = (
        f"radius {words.spread(pairs[f'{side}eps'].astype(float).round(5))}, "
        f"{words.spread(pairs[f'{side}images'].astype(float))} test images"
        for side in ("", "published_")
    )
    return (
        f"What differs besides the method's implementation. Published: {theirs}; each author's own "
        "width, epochs, objective, extra data and choice of the epoch, often on the test images. "
        f"Ours: {ours}, width {words.spread(pairs['width'].astype(float))}, "
        f"{words.spread(pairs['epochs'].astype(float))} epochs in all, the epoch chosen on "
        "validation images. So a difference is no error of either side, and levels are not "
        "comparable where width or epochs are far apart; orders may be."
    )


def _agreement(ranks: pd.DataFrame) -> list[str]:
    said = []
    known = ranks[ranks["methods"] >= FEWEST]
    if len(known) > MOST_SENTENCES:
        sure = (known["p"] < LEVEL).sum()
        said.append(
            f"In {len(known)} groups with at least {FEWEST} methods in common Spearman's rank "
            f"correlation goes from {words.number(known['spearman'].min())} to "
            f"{words.number(known['spearman'].max())}; p by shuffling is below {LEVEL} in {sure}, "
            "where chance alone would have it in one of twenty. The groups share methods and "
            "images, so they are no independent votes."
        )
    for _, row in known.head(0 if said else MOST_SENTENCES).iterrows():
        sure = "more than orders at random have" if row["p"] < LEVEL else "orders at random have it"
        said.append(
            f"{words.place(row)}: over {row['methods']} methods in common Spearman's rank "
            f"correlation is {words.number(row['spearman'])} (95 % interval "
            f"{words.number(row['low'])} to {words.number(row['high'])} by drawing methods with "
            f"replacement; p {words.p_value(row['p'])} by shuffling: {sure}). Ours are "
            f"{words.points(row['mean_difference'])} points in the mean."
        )
    if few := [words.place(row) for _, row in ranks[ranks["methods"] < FEWEST].iterrows()]:
        said.append(
            f"Fewer than {FEWEST} methods are in common, so that no correlation is given, in: "
            f"{words.listed(few)}."
        )
    if not len(ranks):
        said.append("No row has the same net and sparsity, so that no ranks can be compared.")
    elif len(said) > 1:
        said.append(
            "The method is the unit: intervals say what another choice of methods could have "
            "given. They do not hold the chance of trainings, and are too narrow with very few "
            "methods (docs/answers.md)."
        )
    return said


def _drops(pairs: pd.DataFrame, names: Mapping[str, str]) -> str:
    if pairs["published_drop"].notna().any():
        start = (
            "The drop is what a method loses against the dense net of the same dataset and net; "
        )
    else:
        start = (
            "The published list has no dense net, so what a method lost against it is not known "
            "there (ours is in agreement.csv). Standing takes its place: a method against the mean "
            "of those in common in its group, which differs between the two sides by as much as "
            "the drops would, up to one constant; "
        )
    known = pairs.dropna(subset=["relative_difference"])
    each = known.groupby("method")["relative_difference"].agg(["mean", "size"])
    if not len(each):
        return start + "no group has two methods to compare."
    order = each.sort_values("mean")
    told = [
        f"{names.get(m, m)} {words.points(row['mean'])} (groups: {row['size']:.0f})"
        for m, row in order.iterrows()
    ]
    return (
        f"{start}ours minus published, mean over groups, in points: {words.listed(told, 40)}. "
        "Positive: it stands better here than where it was published."
    )


def _ranks(ranks: pd.DataFrame) -> Grid:
    rows = [
        [
            words.place(row),
            str(row["methods"]),
            words.number(row["spearman"]),
            words.NONE
            if pd.isna(row["low"])
            else f"{words.number(row['low'])} to {words.number(row['high'])}",
            words.p_value(row["p"]),
            words.points(row["mean_difference"]),
        ]
        for _, row in ranks.iterrows()
    ]
    header = ["Group", "Methods in common", "Spearman", "95 % interval", "p", "Mean difference"]
    caption = (
        f"Agreement of the ranks by group; none with fewer than {FEWEST} methods. Mean difference: "
        "our worst case minus the published AutoAttack accuracy, in points."
    )
    return Grid(header, rows, caption)


def _pairs(pairs: pd.DataFrame, names: Mapping[str, str]) -> Grid:
    order = [*PLACE, "worst"]
    chosen = pairs.sort_values("exact", ascending=False, kind="stable").head(MOST_ROWS)
    chosen = chosen.sort_values(order, ascending=[True] * len(PLACE) + [False])
    rows = [
        [
            names.get(row["method"], row["method"]),
            words.place(row),
            str(row["seeds"]),
            f"{words.share(row['clean'])} / {words.share(row['worst'])}",
            f"{words.share(row['published_clean'])} / {words.share(row['published_autoattack'])}",
            words.points(row["difference"]),
            words.points(row["relative_difference"]),
            _differs(row),
        ]
        for _, row in chosen.iterrows()
    ]
    header = ["Method", "Group", "Seeds", "Ours: clean / worst", "Published: clean / AutoAttack"]
    header += ["Difference", "Standing", "Counterpart"]
    left = len(pairs) - len(rows)
    caption = (
        "Both numbers in %, difference in points (ours minus published). Standing: the same after "
        "the mean of the methods in common in the group is taken off both sides."
        + f" {left} more rows are in agreement.csv."
        * (left > 0)
    )
    return Grid(header, rows, caption)


def _differs(row: pd.Series) -> str:
    if row["exact"]:
        return "same"
    return f"{row['published_arch']}, {100 * row['published_sparsity']:g} %"


def _picture(pairs: pd.DataFrame, names: Mapping[str, str], files: Sequence[Path]) -> Picture:
    alt = "Our worst case against published AutoAttack accuracy"
    if not len(pairs):
        return picture(empty("no published counterpart"), alt, "", *files)
    look = styles(pairs["method"])
    panels = list(pairs.groupby(["dataset", "arch"], sort=True))[:MOST_PANELS]
    columns = columns_of(len(panels))
    down = max(1, -(-len(panels) // columns))
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(2.5 * columns + 1.6, 2.5 * down + 0.4), layout="constrained")
        grid = figure.subplots(down, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, ((dataset, arch), own) in zip(grid.flat, panels, strict=False):
            top = 100 * max(own["worst"].max(), own["published_autoattack"].max(), 0.1) * 1.08
            axes.plot([0, top], [0, top], color="#8c8c8c", lw=0.7, zorder=1)
            for _, row in own.iterrows():
                style = look[row["method"]]
                face = style.colour if row["exact"] else "none"
                size = 4 + 22 * (1 - row["sparsity"]) ** 0.5
                axes.scatter(
                    100 * row["published_autoattack"],
                    100 * row["worst"],
                    s=size,
                    marker=style.marker,
                    facecolor=face,
                    edgecolor=style.colour,
                    lw=0.8,
                    zorder=3,
                )
            axes.set(xlim=(0, top), ylim=(0, top), aspect="equal", title=f"{dataset}, {arch}")
        figure.supxlabel("Published: AutoAttack (%)", fontsize=7.5)
        figure.supylabel("Ours: worst case (%)", fontsize=7.5)
        handles = [
            Line2D([], [], ls="", marker=s.marker, color=s.colour, ms=4, label=names.get(m, m))
            for m, s in sorted(look.items())
        ]
        figure.legend(handles=handles, loc="outside right upper", fontsize=6.5)
    caption = (
        "Accuracy under attack, ours against published; on the line they are equal. Filled: the "
        "same net and sparsity; hollow: the nearest published one. The smaller a mark, the more is "
        "removed."
    )
    return picture(figure, alt, caption, *files)
