"""Leaderboard tables: one row per evaluated model, as CSV, LaTeX and console output."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from advprune.base import text
from advprune.base.files import atomic, write_text
from advprune.evaluation.reliability import SHARES
from advprune.report.marks import marked
from advprune.report.records import (
    ACCURACIES,
    IDENTITY,
    LARGEST_SPREAD,
    STRUCTURES,
    Group,
    Record,
    across_seeds,
    describe,
    group_of,
    group_title,
    groups,
    nonempty,
    percent,
    records,
    seed_spread,
    spread_mark,
)

# how a model was trained: `evaluation.evaluate.training`
TRAINING = [
    *("epochs", "best_epoch", "final_epochs"),
    *("pgd20_best", "pgd20_last", "clean_last", "marks"),
]
COUNTS = ["params", "nonzero", "macs", "effective_macs", "images", "seed", "hofmn_recovered"]
COUNTS += TRAINING[:3]
TEXTS = [
    "method",
    "dataset",
    "arch",
    "structure",
    "status",
    "reason",
    "eps_text",
    "norm",
    "warnings",
    "reliability",
    "marks",
]
SIGNS = ["warnings", "reliability", "marks"]
COLUMNS = [
    *IDENTITY,
    *("params", "nonzero", "sparsity_achieved", "macs"),
    *("clean_accuracy", "autoattack_accuracy", "autoattack_low", "autoattack_high"),
    *("hofmn_accuracy", "worst_accuracy", "status", "reason"),
    *("images", "eps", "eps_text", "norm", "effective_macs"),
    *("clean_low", "clean_high", "hofmn_low", "hofmn_high", "worst_low", "worst_high"),
    "warnings",
    "reliability",
    *SHARES,
    *("hofmn_recovered", "distance_before", "distance_after"),
    *TRAINING,
]


def leaderboard(evaluations: Sequence[Record]) -> pd.DataFrame:
    """One row per model with `COLUMNS`, in an order that depends on the content alone."""
    rows = [row | _training(row) for row in records(nonempty(evaluations))]
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for column in COLUMNS:
        if column in TEXTS:
            frame[column] = frame[column].fillna("").astype(str).map(text.line)
        else:
            numbers = pd.to_numeric(frame[column])
            frame[column] = (
                numbers.round().astype("Int64") if column in COUNTS else numbers.astype(float)
            )
    frame["order"] = frame["structure"].map(STRUCTURES.index)
    by = ["dataset", "arch", "order", "sparsity", "worst_accuracy", "method", "seed"]
    # rows without a number come last, so that a failed model never tops its group
    frame = frame.sort_values(by, ascending=[key != "worst_accuracy" for key in by])
    return frame.drop(columns="order").reset_index(drop=True)


def _training(row: Record) -> Record:
    """What is known of a model's training; nothing of one that was trained elsewhere."""
    found = row.get("training") or {}
    return {key: found.get(key) for key in TRAINING} | {"marks": "; ".join(found.get("marks", []))}


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table; floats in shortest exact form, so equal rows give equal bytes.

    A text that a spreadsheet would take for a formula has a quote before it (`text.cell`).
    """
    told = {c: frame[c].map(_cell) for c in frame if not pd.api.types.is_numeric_dtype(frame[c])}
    with atomic(path) as temporary:
        frame.assign(**told).to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def _cell(value: object) -> object:
    return text.cell(value) if isinstance(value, str) else value


def write_latex(
    frame: pd.DataFrame, path: str | Path, names: Mapping[str, str] | None = None
) -> None:
    """Write one booktabs table per group; several seeds become mean ± standard deviation."""
    tables = groups(frame.to_dict("records"))
    head = "% needs \\usepackage{booktabs}\n"
    write_text(path, head + "\n".join(_latex(g, rows, names or {}) for g, rows in tables.items()))


def _latex(group: Group, rows: Sequence[Record], names: Mapping[str, str]) -> str:
    dataset, arch, structure, sparsity = group
    methods = across_seeds(rows)
    dense = [m for m in methods if methods[m][0]["structure"] == "none"]
    pruned = sorted((m for m in methods if m not in dense), key=lambda m: -_mean(methods[m]))
    flagged = [r for r in rows if r["status"] != "ok"]
    spread = {m: spread_mark(seed_spread(own)) for m, own in methods.items()}
    labels = {m: text.latex(f"{names.get(m, m)} {spread[m]}", f"{m} {spread[m]}") for m in methods}
    marked = labels | {r["method"]: labels[r["method"]] + r"$^\dagger$" for r in flagged}
    lines = [_latex_row(marked[m], methods[m]) for m in dense]
    lines += [r"\midrule"] * bool(dense and pruned)
    lines += [_latex_row(marked[m], methods[m]) for m in pruned]
    notes = [
        rf"$\dagger$ {labels[r['method']]}, seed {r['seed']}, "
        rf"{text.latex(r['status'])}: {text.latex(r['reason'])}.\par"
        for r in flagged
    ]
    caption = (
        f"{dataset}, {arch}, {group_title(group)}: accuracy in % under {rows[0]['norm']} attacks "
        f"with eps = {rows[0]['eps_text']} on {rows[0]['images']} test images. One seed: 95 % "
        "Wilson interval in brackets; several: mean ± standard deviation over seeds, ↕ where they "
        f"differ by more than {100 * LARGEST_SPREAD:g} points in the worst case. Flagged seeds "
        "enter only where a method has no other. Epochs: all of the training, search included. "
        "PGD-20: on the best epoch, which is attacked, and on the last."
    )
    return "\n".join(
        [
            r"\begin{table}[t]",
            rf"\centering\small\caption{{{text.latex(caption)}}}",
            rf"\label{{tab:{dataset}-{arch}-{structure}-{sparsity:g}}}",
            r"\begin{tabular}{lrrrrrrr}",
            r"\toprule",
            " & ".join(["Method", "Seeds", *ACCURACIES.values(), "PGD-20", "Epochs"]) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *([r"\par\smallskip\footnotesize", *notes] if notes else []),
            r"\end{table}",
            "",
        ]
    )


def _mean(rows: Sequence[Record]) -> float:
    values = [r["worst_accuracy"] for r in rows if not math.isnan(r["worst_accuracy"])]
    return fmean(values) if values else -1.0


def _latex_row(name: str, rows: Sequence[Record]) -> str:
    cells = [_latex_cell(rows, key) for key in ACCURACIES]
    best, last, epochs = (_known(rows, k) for k in ("pgd20_best", "pgd20_last", "epochs"))
    cells.append(" / ".join("--" if math.isnan(v) else percent(v) for v in (best, last)))
    cells.append("--" if math.isnan(epochs) else f"{epochs:g}")
    return " & ".join([name, str(len(rows)), *cells]) + r" \\"


def _known(rows: Sequence[Record], key: str) -> float:
    """Mean over seeds; not a number where one is not known."""
    return fmean(math.nan if pd.isna(row[key]) else row[key] for row in rows)


def _latex_cell(rows: Sequence[Record], key: str) -> str:
    values = [r[f"{key}_accuracy"] for r in rows]
    if any(map(math.isnan, values)):
        return "--"
    if len(rows) > 1:
        return rf"{percent(fmean(values))} {{\scriptsize $\pm$ {percent(stdev(values))}}}"
    low, high = (percent(rows[0][f"{key}_{side}"]) for side in ("low", "high"))
    return rf"{percent(values[0])} {{\scriptsize [{low}, {high}]}}"


def console(frame: pd.DataFrame) -> Table:
    """Build the terminal's leaderboard: percentages with 95 % intervals, flagged rows explained."""
    rows = frame.to_dict("records")
    table = Table(
        title="Leaderboard",
        caption=escape("\n".join(_notes(rows))),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("Model", overflow="fold")
    for header in ("Removed", "Seed", *ACCURACIES.values()):
        table.add_column(header, justify="right")
    previous = None
    for row in rows:
        group = group_of(row)
        if group != previous:
            *setting, structure, sparsity = group
            title = "dense" if structure == "none" else f"{structure} {100 * sparsity:g} %"
            table.add_section()
            if previous is None or group[:2] != previous[:2]:
                table.add_row(escape(" ".join(setting)), style="bold underline")
            table.add_row(title, style="bold")
        previous = group
        fine = row["status"] == "ok"
        mark = "! " if not fine else "? " if any(row[k] for k in SIGNS) else "  "
        cells = [_interval(row, key) for key in ACCURACIES]
        removed = percent(row["sparsity_achieved"])
        table.add_row(
            mark + escape(row["method"]),
            removed,
            str(row["seed"]),
            *cells,
            style=None if fine else "yellow",
        )
    return table


def _notes(rows: Sequence[Record]) -> list[str]:
    """Say what was measured, and why rows are flagged."""
    threats = dict.fromkeys(
        f"{r['dataset']}: {r['norm']} eps {r['eps_text']}, {r['images']} test images" for r in rows
    )
    head = [
        "Accuracies in % (95 % Wilson interval); removed: share of prunable weights or units, %"
    ]
    flagged = [r for r in rows if r["status"] != "ok"]
    reasons = [
        f"! {describe(r[k] for k in IDENTITY)}: {r['status']}: {r['reason']}" for r in flagged
    ]
    signs = [
        (r, [*filter(None, [r["warnings"], r["marks"]]), *(t for _, t in marked(r))]) for r in rows
    ]
    unreliable = [f"? {describe(r[k] for k in IDENTITY)}: {'; '.join(t)}" for r, t in signs if t]
    legend = ["? possibly unreliable, or its training marked: docs/reliability.md"]
    legend *= bool(unreliable)
    return [*head, *threats, *reasons, *legend, *unreliable]


def _interval(row: Record, key: str) -> str:
    low, high = (percent(row[f"{key}_{side}"], 0) for side in ("low", "high"))
    return f"{percent(row[f'{key}_accuracy'])} [dim]({low}–{high})[/]"
