"""The catalogue of methods: a Markdown page made from the methods' YAML files.

It holds the survey's taxonomy with what this repository makes of each method, and the numbers
published for the authors' own checkpoints, so that both can be read beside our leaderboards.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from advprune.base.errors import UserError
from advprune.report.records import Record

# stage: title and the taxonomy's steps of that stage
STAGES = {
    "after": ("Pruning after training", ["pretraining", "finetuning"]),
    "before": ("Pruning before training", ["pruning_step", "training_step"]),
    "during": ("Pruning during training", ["training_step"]),
    "baseline": ("References and classical criteria", ["pretraining", "finetuning"]),
}
TAXONOMY = ["schedule", "structure", "locality", "criterion"]
SETTING = ["dataset", "arch", "structure"]
PUBLISHED = ["method", *SETTING, "sparsity_percent", "clean_accuracy", "autoattack_accuracy"]


def load_published(path: str | Path) -> pd.DataFrame:
    """Published accuracies in percent, one row per net, empty where none was given.

    An unfit file is a UserError.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a table ({error})") from None
    missing = [column for column in PUBLISHED if column not in frame]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}")
    return frame


def render(cards: Mapping[str, Record], published: pd.DataFrame) -> str:
    """Return the page for the methods' cards by key."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown from this repository's own files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    stages = [
        {"title": title, "fields": [*steps, *TAXONOMY], "cards": _members(cards, stage)}
        for stage, (title, steps) in STAGES.items()
    ]
    given = published.dropna(subset=["clean_accuracy", "autoattack_accuracy"])
    numbers = {method: _numbers(rows) for method, rows in given.groupby("method")}
    return environment.get_template("catalogue.md.j2").render(stages=stages, published=numbers)


def _members(cards: Mapping[str, Record], stage: str) -> list[Record]:
    """Cards of one stage, the oldest first."""
    optional = {"deviations": [], "sources": {}}
    members = [optional | card for card in cards.values() if card["stage"] == stage]
    return sorted(members, key=lambda card: (card["citation"]["year"], card["name"]))


def _numbers(rows: pd.DataFrame) -> Record:
    """Published numbers of one method as a table with one column per sparsity."""
    sparsities = sorted(rows["sparsity_percent"].unique())
    table = []
    for setting, members in rows.groupby(SETTING):
        cells = {
            row.sparsity_percent: f"{row.clean_accuracy:.2f} / {row.autoattack_accuracy:.2f}"
            for row in members.itertuples()
        }
        table.append({"setting": setting, "cells": [cells.get(s, "–") for s in sparsities]})
    return {"sparsities": sparsities, "rows": table}
