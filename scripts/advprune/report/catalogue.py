"""The catalogue of methods: one Markdown page per method, and an overview.

A page's upper part, the equations, is written by hand. Its lower part is made from the method's
YAML and from the numbers published for the authors' own checkpoints, and so is the overview, the
survey's taxonomy with what this repository makes of each method.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from advprune.base.errors import UserError
from advprune.report.records import Record

# stage: title, when it prunes, and the taxonomy's steps of that stage
STAGES = {
    "after": ("Pruning after training", "after training", ["pretraining", "finetuning"]),
    "before": ("Pruning before training", "before training", ["pruning_step", "training_step"]),
    "during": ("Pruning during training", "during training", ["training_step"]),
    "baseline": (
        "References and classical criteria",
        "for comparison",
        ["pretraining", "finetuning"],
    ),
}
TAXONOMY = ["schedule", "structure", "locality", "criterion"]
SETTING = ["dataset", "arch", "structure"]
PUBLISHED = [
    *("method", *SETTING, "sparsity_percent", "clean_accuracy", "autoattack_accuracy"),
    *("eps", "test_images"),
]
MUST_HOLD = """## What must hold

- What the method's own tests hold, one line each; what holds for all methods is in
  `tests/unit/methods/test_every_method.py`."""
MARKER = "<!-- Below: made by `advprune docs` from config/methods/{key}.yaml. -->\n"


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


def overview(methods: Mapping[str, Record]) -> str:
    """Return the tables of all methods, for the methods by key."""
    stages = [_stage(stage) | {"methods": _members(methods, stage)} for stage in STAGES]
    return template("methods_overview.md.j2").render(stages=stages)


def page(method: Record, published: pd.DataFrame, above: str) -> str:
    """Return a method's page: what was written by hand, and what follows from its YAML."""
    made = template("method.md.j2")
    lower = made.render(
        method={"deviations": [], "sources": {}} | method,
        stage=_stage(method["stage"]),
        settings=list(_settings(method)),
        published=_numbers(published, method["key"]),
    )
    return above.rstrip("\n") + "\n\n" + MARKER.format(key=method["key"]) + lower


def written(text: str, key: str) -> str:
    """Part of a page above the marker; all of a page that has none."""
    return text.split(MARKER.format(key=key))[0]


def begun(method: Record, module: str) -> str:
    """Return the upper part of a new page, from the docstring of the method's module."""
    summary, _, box = (ast.get_docstring(ast.parse(module)) or "").partition("\n\n")
    algorithm = f"## Algorithm\n\n```text\n{box.rstrip()}\n```" if box else ""
    return "\n\n".join(filter(None, [f"# {method['name']}", summary, algorithm, MUST_HOLD]))


def template(name: str) -> Template:
    """Template of a Markdown page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown from this repository's own files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _stage(stage: str) -> Record:
    title, prunes, steps = STAGES[stage]
    return {"title": title, "prunes": prunes, "fields": [*steps, *TAXONOMY]}


def _members(methods: Mapping[str, Record], stage: str) -> list[Record]:
    """Methods of one stage, the oldest first."""
    members = [m for m in methods.values() if m["stage"] == stage]
    return sorted(members, key=lambda m: (m["citation"]["year"], m["name"]))


def _settings(method: Record) -> Iterator[tuple[str, str]]:
    """Every objective, recipe and parameter as (dotted name, one line of YAML).

    Then those that are other ones on a net or a dataset, the name of which stands before theirs.
    """
    for own in [method, *method.get("settings", [])]:
        place = " ".join(own[key] + ":" for key in ("arch", "dataset") if key in own)
        for kind in ("objectives", "recipes", "params", "shares"):
            for name, value in own.get(kind, {}).items():
                yield f"{place} {kind}.{name}".lstrip(), _flow(value)


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip("{}")


def _numbers(published: pd.DataFrame, method: str) -> Record | None:
    """Published numbers of one method as a table with one column per sparsity, if there are any."""
    given = published.dropna(subset=["clean_accuracy", "autoattack_accuracy"])
    rows = given[given["method"] == method]
    if rows.empty:
        return None
    sparsities = sorted(rows["sparsity_percent"].unique())
    table = []
    for setting, members in rows.groupby(SETTING):
        cells = {
            row.sparsity_percent: f"{row.clean_accuracy:.2f} / {row.autoattack_accuracy:.2f}"
            for row in members.itertuples()
        }
        table.append({"setting": setting, "cells": [cells.get(s, "–") for s in sparsities]})
    conditions = {
        key: ", ".join(f"{value:,}" for value in sorted(rows[key].unique()))
        for key in ("eps", "test_images")
    }
    return {"sparsities": sparsities, "rows": table} | conditions
