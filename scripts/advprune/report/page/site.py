"""A run as a folder that any web server shows: the page, its tables and figures, its models."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.base.files import write_text
from advprune.report import costs, origins, records
from advprune.report.answers.section import read_sections
from advprune.report.page import data, details, document
from advprune.report.page.content import Content
from advprune.report.records import Record

MODELS = "models"  # folder of the files with models' details
COPIED = ("*.csv", "*.tex", "*.md", "*.pdf", "*.png", "*.parquet", "configuration.yaml")
FOLDERS = ("curves", "figures", "thin_ice")


def write(
    run: Path, out: Path, evaluations: Sequence[Path], logs: Path, methods: Mapping[str, Record]
) -> int:
    """Write the folder `out` and return its number of models.

    `run` is the folder of a run's results, `evaluations` its files of evaluations, `methods` the
    YAMLs by key. A folder that holds something else than an earlier site is a UserError.
    """
    _prepare(out)
    rows = records.load(evaluations)
    content = Content(
        rows,
        records.known(methods, rows),
        run.resolve().name,
        costs=costs.load(run / "costs.csv") if (run / "costs.csv").is_file() else {},
        details=details.read(evaluations, logs),
        sections=read_sections(sorted(run.glob("sections/*.json"))),
        thin_ice=sorted(run.glob("thin_ice/*.png")),
        files=_copy(run, out),
        **_origins(run / "provenance.csv"),
    )
    if content.details:
        details.add_thin_ice(content.details, sorted(_thin_ice(run)))
    document.write(out / "index.html", content, folder=MODELS)
    for place, found in enumerate(document.details_of(content)):
        write_text(out / MODELS / f"{place}.json", data.to_json(found))
    return len(rows)


def _prepare(out: Path) -> None:
    """Empty the folder of an earlier site, and refuse any other that has something in it."""
    if out.exists() and any(out.iterdir()):
        if not (out / "index.html").is_file() or not (out / MODELS).is_dir():
            raise UserError(f"{out}: not empty, and not an earlier site; name another folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def _copy(run: Path, out: Path) -> list[str]:
    """Copy what the page links; returns the names of the files beside the page."""
    patterns = [*COPIED, *(f"{folder}/*" for folder in FOLDERS)]
    found = {path for pattern in patterns for path in run.glob(pattern) if path.is_file()}
    for path in sorted(found):
        target = out / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return sorted(str(path.relative_to(run)) for path in found)


def _origins(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    frame = pd.read_csv(path)
    return {"origins": origins.by_model(frame), "made": origins.summary(frame)}


def _thin_ice(run: Path) -> list[Path]:
    """The tables by model; those by image lie beside them."""
    return [p for p in run.glob("thin_ice/*.csv") if not p.name.endswith(".images.csv")]
