"""Released nets beside what was published of them, and beside ours of the same method.

Accuracies are shares in [0, 1]; they become percentages only for a reader.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from advprune.report.answers.section import Grid, Section
from advprune.report.records import IDENTITY, NOT_AVAILABLE, Record, group_title, percent

KINDS = ("clean", "autoattack")
COLUMNS = [
    *IDENTITY,
    *("released_of", "status", "reason", "eps", "images", "published_eps", "published_images"),
    *(f"{kind}_{what}" for kind in KINDS for what in ("published", "expected", "accuracy")),
    *(f"{kind}_{what}" for kind in KINDS for what in ("difference", "margin")),
    *("counted", "sparsity_claimed", "sparsity_achieved", "constant_filters"),
    *("ours_seeds", "ours_clean", "ours_autoattack"),
]
WORDS = {
    "weights": "of all weights",
    "convolutions": "of the convolutions' weights",
    "filters": "of filters, by their weights",
    "macs": "of multiplications",
}


def table(evaluations: Sequence[Record]) -> pd.DataFrame:
    """One row per released net with `COLUMNS`.

    `<kind>_expected` is what was published, moved to the radius of this run; `ours_*` are means
    over the seeds, without flagged ones, that this run trained of the same method, net and
    sparsity.
    """
    rows = [_row(e, evaluations) for e in evaluations if e["model"].get("released_of")]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.sort_values(IDENTITY, ignore_index=True)


def _row(evaluation: Record, evaluations: Sequence[Record]) -> Record:
    model, audit = evaluation["model"], evaluation.get("audit") or {}
    published, found = model.get("published") or {}, evaluation.get("published") or {}
    ours = [e for e in evaluations if _same(model, e["model"]) and e["status"] == "ok"]
    row = {key: model[key] for key in IDENTITY} | {"released_of": model["released_of"]}
    row |= {key: evaluation[key] for key in ("status", "reason", "images")}
    row |= {"eps": evaluation["threat"]["eps"]}
    row |= {f"published_{key}": published.get(key) for key in ("eps", "images")}
    for kind in KINDS:
        row |= {f"{kind}_published": published.get(kind)}
        row |= {f"{kind}_{k}": found.get(f"{kind}_{k}") for k in ("expected", "difference")}
        row |= {f"{kind}_margin": found.get(f"{kind}_margin")}
        row |= {f"{kind}_accuracy": evaluation[f"{kind}_accuracy"]}
        row |= {f"ours_{kind}": fmean(e[f"{kind}_accuracy"] for e in ours) if ours else None}
    own = ("counted", "sparsity_claimed", "sparsity_achieved", "constant_filters")
    return row | {key: audit.get(key) for key in own} | {"ours_seeds": len(ours)}


def _same(model: Record, other: Record) -> bool:
    """Whether the other is ours, of the method whose authors released the model."""
    alike = all(model[key] == other[key] for key in ("dataset", "arch", "structure", "sparsity"))
    return alike and other["method"] == model["released_of"]


def section(frame: pd.DataFrame, methods: Mapping[str, Record]) -> Section:
    """The table for the page, with what its numbers mean."""
    rows = frame.to_dict("records")
    absent = sum(row["status"] == NOT_AVAILABLE for row in rows)
    text = [
        f"{len(rows)} rows of checkpoints that the authors of a method released; {absent} could "
        "not be had, and say why. Published accuracies are those of the survey's leaderboard, "
        "whose benchmark lists these files.",
        "In brackets behind an accuracy: its difference from the published one, in points. Where "
        "the radius here is another than the published one, the published accuracy is moved first "
        "by what the step from one to the other costs this net under HO-FMN. A row is flagged "
        "where a difference is larger than other images, random starts and rounding explain.",
        "Removed: as claimed, as its authors count it, and as this benchmark counts. A filter "
        "without weights whose BatchNorm kept its scale or shift emits a constant: its authors "
        "count it as removed, this benchmark does not, and the attacked net has it folded away.",
    ]
    header = ["Method", "Dataset", "Net", "Target", "Removed", "Clean", "AutoAttack", "Status"]
    grid = Grid(header, [_cells(row, methods) for row in rows], "Released, published and trained")
    return Section("released", "Released checkpoints", text, grids=[grid])


def _cells(row: Mapping[Any, Any], methods: Mapping[str, Record]) -> list[str]:
    name = str(methods.get(row["released_of"], {}).get("name", row["released_of"]))
    place = (row["dataset"], row["arch"], row["structure"], row["sparsity"])
    status = row["status"] if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
    accuracies = [_accuracy(row, kind) for kind in KINDS]
    return [
        name,
        row["dataset"],
        row["arch"],
        group_title(place),
        _removed(row),
        *accuracies,
        status,
    ]


def _removed(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["sparsity_claimed"]):
        return f"claimed {percent(row['sparsity'])}"
    theirs = f"{percent(row['sparsity_claimed'], 2)} {WORDS.get(row['counted'], row['counted'])}"
    ours = percent(row["sparsity_achieved"], 2)
    if constant := _number(row["constant_filters"]):
        ours += f", {constant:.0f} filters emit a constant"
    return f"claimed {percent(row['sparsity'])}; {theirs}; here {ours}"


def _accuracy(row: Mapping[Any, Any], kind: str) -> str:
    parts = [f"published {percent(_number(row[f'{kind}_published']), 2)}"]
    if not pd.isna(row[f"{kind}_accuracy"]):
        difference = _number(row[f"{kind}_difference"])
        told = "" if difference is None else f" ({100 * difference:+.2f})"
        parts.append(f"here {percent(row[f'{kind}_accuracy'], 2)}{told}")
    if row["ours_seeds"]:
        parts.append(f"ours {percent(row[f'ours_{kind}'], 2)}")
    return "; ".join(parts)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
