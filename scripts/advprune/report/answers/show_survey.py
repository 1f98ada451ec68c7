"""Tables and the figure of the section about the survey's questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from advprune.evaluation.reliability import LIMITS
from advprune.report.answers import words
from advprune.report.answers.common import OVERFITTED
from advprune.report.answers.effects import FEWEST
from advprune.report.answers.means import PLACE
from advprune.report.answers.pictures import picture
from advprune.report.answers.section import Grid, Picture
from advprune.report.answers.traits import NAMES
from advprune.report.figures.style import COLOURS, SETTINGS
from advprune.report.marks import MARKS

MOST_GROUPS = 24


def contrast(row: pd.Series) -> str:
    """A contrast in words, with the methods on each side."""
    counts = f"{row['methods']} against {row['base_methods']}"
    if row["design"] == "within methods":
        counts = f"{words.count(row['methods'], 'method')}, each against itself"
    return f"{NAMES[row['trait']]} {row['level']} against {row['base']} ({counts})"


def _short(row: pd.Series) -> str:
    """A contrast as the figure's axis has it."""
    counts = f"{row['methods']} : {row['base_methods']}"
    if row["design"] == "within methods":
        counts = f"{row['methods']} paired"
    return f"{NAMES[row['trait']]}: {row['level']} − {row['base']} ({counts})"


def tops(rows: pd.DataFrame, top: pd.DataFrame, names: Mapping[str, str]) -> Grid:
    """Methods that are not told apart from the best, by group."""
    found = []
    for place, own in list(top.groupby(PLACE, sort=False))[:MOST_GROUPS]:
        all_ = rows[(rows[PLACE] == list(place)).all(axis=1)]
        told = [f"{names.get(r.method, r.method)} {words.share(r.worst)}" for r in own.itertuples()]
        mark = own["mark"].iloc[0].removeprefix("≈ ")
        found.append(
            [words.place(own.iloc[0]), f"{len(own)} of {len(all_)}", mark, words.listed(told, 12)]
        )
    caption = "Methods that are not told apart from the best of their group, worst case in %."
    return Grid(["Group", "Methods", "Certainty", "Best first"], found, caption)


def traits(shared: pd.DataFrame) -> Grid:
    """Traits of the top group and of the rest."""
    rows = [
        [
            NAMES[row["trait"]],
            str(row["level"]),
            f"{row['top']} of {row['top_of']}",
            f"{row['rest']} of {row['rest_of']}",
            words.p_value(row["p"]),
            words.p_value(row["p_adjusted"]),
        ]
        for _, row in shared.iterrows()
    ]
    caption = "Methods of the top group and of the rest that have a trait; p adjusted by Holm."
    header = ["Trait", "Level", "In the top", "In the rest", "p", "adjusted"]
    return Grid(header, rows, caption)


def contrasts(effects: pd.DataFrame) -> Grid:
    """Every contrast of `effects`."""
    rows = [
        [
            row["question"],
            f"{row['level']} against {row['base']}",
            f"{row['methods']} : {row['base_methods']}",
            words.points(row["difference"]),
            words.bounds(row["low"], row["high"]),
            words.number(row["standardised"], 1),
            words.p_value(row["p_adjusted"]),
            words.points(row["together"]),
            words.bounds(row["together_low"], row["together_high"]),
        ]
        for _, row in effects.iterrows()
    ]
    header = ["Question", "Contrast", "Methods", "Points", "95 % interval", "g", "p adjusted"]
    header += ["Together", "95 % interval"]
    caption = (
        f"Differences of the worst case at equal sparsity, the method as unit; no interval with "
        f"fewer than {FEWEST} methods on a side. g: in standard deviations between methods. "
        "Intervals are each at 95 %, not adjusted for their number; p is, by Holm's method."
    )
    return Grid(header, rows, caption)


def families(issues: pd.DataFrame) -> Grid:
    """What went wrong, by family."""
    seen = [mark for mark in LIMITS if issues[mark].any()]
    header = ["Family", "Methods", "Models", "Flagged", "Training marked", "Emptied layers"]
    header += [MARKS[m][0] for m in seen] + ["Overfitted", "PGD-20 chosen − last"]
    rows = [
        [
            row["family"]
            if row["family_kind"] == "all"
            else f"{row['family_kind']}: {row['family']}",
            *(str(row[k]) for k in ("methods", "models", "flagged", "collapsed", "emptied_layers")),
            *(str(row[mark]) for mark in seen),
            f"{row['overfitted']} of {row['pgd_known']}",
            f"{words.points(row['overfitting'])} "
            f"({words.bounds(row['overfitting_low'], row['overfitting_high'])})",
        ]
        for _, row in issues.iterrows()
    ]
    caption = (
        "Counts of models by family; marks that no model has are left out. Overfitted: more than "
        f"{100 * OVERFITTED:g} points of PGD-20 accuracy lost after the chosen epoch; the last "
        "column is the mean over methods, with its interval over methods, in points."
    )
    return Grid(header, rows, caption)


def forest(effects: pd.DataFrame, files: Sequence[Path]) -> Picture:
    """Draw the contrasts with their intervals."""
    shown = effects[effects["difference"].notna()].iloc[::-1]
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(6.6, 0.24 * max(len(shown), 3) + 0.7), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color="#8c8c8c", lw=0.7, zorder=1)
        for place, (_, row) in enumerate(shown.iterrows()):
            known = pd.notna(row["low"])
            if known:
                ends = [100 * row["low"], 100 * row["high"]]
                axes.plot(ends, [place, place], color=COLOURS[0], lw=1.2, zorder=2)
            face = COLOURS[0] if known else "white"
            dot: dict[str, Any] = {
                "marker": "o",
                "ms": 4,
                "mfc": face,
                "mec": COLOURS[0],
                "zorder": 3,
            }
            axes.plot(100 * row["difference"], place, **dot)
            if pd.notna(row["together"]):
                axes.plot(100 * row["together"], place + 0.25, "D", color=COLOURS[1], ms=2.8)
        axes.set_yticks(range(len(shown)), [_short(row) for _, row in shown.iterrows()])
        axes.set(xlabel="Difference in the worst case (points)", ylim=(-0.7, len(shown) - 0.3))
        axes.tick_params(axis="y", length=0)
    caption = (
        "Differences in the worst case at equal sparsity with 95 % intervals over methods; in "
        "brackets the methods on each side, or that are on both (paired). Hollow: "
        f"fewer than {FEWEST} methods on a side, no interval. Orange: stage, locality and "
        "criterion estimated together."
    )
    return picture(figure, "Differences between families of methods", caption, *files)
