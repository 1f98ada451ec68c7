"""The leaderboard page as text: data, scripts, styles and explanations in one HTML file.

Nothing is loaded from elsewhere, and nothing that comes from outside is markup: the page's data is
JSON from which its scripts make text, and the rest is escaped by Jinja.
"""

import base64
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from advprune.base.errors import UserError
from advprune.base.files import write_text
from advprune.evaluation.significance import FEWEST_SEEDS, LEVEL
from advprune.report.answers.section import Picture, Section
from advprune.report.costs import measured_on
from advprune.report.marks import MARKS
from advprune.report.page import about, chart, data
from advprune.report.page.content import Content
from advprune.report.page.methods import FIDELITY
from advprune.report.records import LARGEST_SPREAD, NOT_AVAILABLE, Record

MOST_DETAILS = 200  # models whose details are in the page itself; those of more are files of a site
COLUMN = 300  # points: wider figures get the page's width
MOST_PICTURES = 6  # figures of thin ice in the page itself
LINKS = {
    "leaderboard.csv": "all numbers",
    "models.csv": "tidy",
    "comparison.csv": "comparison",
    "costs.csv": "costs",
    "provenance.csv": "provenance",
    "origins.csv": "origins",
    "other_attacks.csv": "other attacks",
    "corruptions_means.csv": "corruptions",
    "unfinished.csv": "what is not done",
    "curves.pdf": "curves (PDF)",
    "leaderboard.tex": "LaTeX tables",
    "survey.tex": "survey's layout",
    "configuration.yaml": "configuration",
}


def write(path: str | Path, content: Content, folder: str = "") -> None:
    """Write the page; with `folder`, models' details are read from files there (`site`)."""
    write_text(path, render(content, folder))


def render(content: Content, folder: str = "") -> str:
    """Return the page's HTML; equal content gives equal text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found = data.of(content)
    costs = content.costs.values()
    return environment.get_template("document.html.j2").render(
        preset=content.preset,
        partial=content.partial,
        about=about.of(content),
        links=[(name, LINKS[name]) for name in LINKS if name in content.files],
        runs=_runs(content.evaluations),
        flagged=sum(e["status"] not in ("ok", NOT_AVAILABLE) for e in content.evaluations),
        absent=sum(e["status"] == NOT_AVAILABLE for e in content.evaluations),
        total=len(content.evaluations),
        data=data.to_json(found),
        details=data.to_json(_details(content, folder)),
        figures=data.to_json(chart.specifications()),
        library=chart.library(),
        sections=[_section(section) for section in content.ordered()],
        thin_ice=[_picture(path) for path in content.thin_ice[:MOST_PICTURES]],
        more_ice=[f"thin_ice/{path.name}" for path in content.thin_ice[MOST_PICTURES:]],
        measured=measured_on(costs),
        batches=sorted({int(row["batch"]) for row in costs}),
        fidelity=FIDELITY,
        marks=MARKS,
        fewest=FEWEST_SEEDS,
        error=f"{100 * LEVEL:g}",
        widest=f"{100 * LARGEST_SPREAD:g}",
    )


def details_of(content: Content) -> list[Record | None]:
    """Details by the place of the model in the page's data; None of those that have none."""
    found = content.details.models if content.details else {}
    return [found.get(identity) for identity in data.order(content)]


def _details(content: Content, folder: str) -> dict[str, Any]:
    """What the page holds of models' details: all, or that they are in the files of `folder`."""
    if content.details is None or not content.details.models:
        return {}
    known = content.details
    linked = "leaderboard.csv" in content.files and not folder
    shared: dict[str, Any] = {"nets": known.nets, "histories": known.histories, "logs": known.logs}
    shared |= {"linked": linked, "curves": "curves.pdf" in content.files}
    if folder:
        return shared | {"folder": folder}
    models = details_of(content)
    return shared | {"models": models} if len(models) <= MOST_DETAILS else {}


def _runs(evaluations: Sequence[Record]) -> list[Record]:
    """What was run: one entry per dataset and threat, with its nets and seeds, in order."""
    runs: dict[tuple[Any, ...], Record] = {}
    for row in evaluations:
        model, threat = row["model"], row["threat"]
        key = (model["dataset"], threat["norm"], threat["eps_text"], row["images"])
        run = runs.setdefault(key, {"threat": key, "archs": set(), "seeds": set(), "models": 0})
        run["archs"].add(model["arch"])
        run["seeds"].add(model["seed"])
        run["models"] += 1
    ordered = [runs[key] for key in sorted(runs, key=str)]
    return [run | {k: sorted(run[k]) for k in ("archs", "seeds")} for run in ordered]


def _section(section: Section) -> Record:
    """A section with its figures as addresses: an image neither styles nor scripts the page."""
    captions = [
        {"caption": caption, "pictures": [_drawing(p) for p in pictures]}
        for caption, pictures in groupby(section.pictures, key=lambda p: p.caption)
    ]
    return {
        "key": section.key,
        "title": section.title,
        "text": section.text,
        "captions": captions,
        "grids": section.grids,
    }


def _drawing(picture: Picture) -> Record:
    width = re.search(r'width="([\d.]+)pt"', picture.svg)
    wide = width is not None and float(width[1]) > COLUMN
    return {"source": _address(picture.svg.encode(), "svg+xml"), "alt": picture.alt, "wide": wide}


def _picture(path: Path) -> Record:
    """Embed a PNG."""
    try:
        return {"title": path.stem, "source": _address(path.read_bytes(), "png")}
    except OSError:
        raise UserError(f"{path}: no such figure") from None


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
