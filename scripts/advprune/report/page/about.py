"""Who made the numbers and how they are cited: commit, dates, licence."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from advprune.base import imports
from advprune.report.origins import AND
from advprune.report.page.content import Content


def of(content: Content) -> dict[str, Any]:
    """`made` (a line), `commits`, `dates`, and of the checkout's CITATION.cff what is cited."""
    rows = list(content.origins.values())
    dates = sorted(_parts(row[key] for row in rows for key in ("first_date", "last_date")))
    return {
        "made": content.made,
        "commits": sorted(_parts(row["commit"] for row in rows)),
        "dates": [*dict.fromkeys([*dates[:1], *dates[-1:]])],
    } | citation(imports.ROOT / "CITATION.cff")


def citation(path: Path) -> dict[str, Any]:
    """`licence`, `software` and `references` (each title, names, year, url) of a CITATION.cff."""
    try:
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:  # installed without its checkout
        known = {}
    return {
        "licence": str(known.get("license", "")),
        "software": _cited(known) if known else None,
        "references": [_cited(entry) for entry in known.get("references", [])],
    }


def _cited(entry: dict[str, Any]) -> dict[str, str]:
    names = [
        author.get("name") or f"{author.get('given-names', '')[:1]}. {author['family-names']}"
        for author in entry.get("authors", [])
    ]
    year = entry.get("year") or str(entry.get("date-released", ""))[:4]
    version = f"version {entry['version']}" if entry.get("version") else ""
    return {
        "title": str(entry.get("title", "")),
        "names": ", ".join(names),
        "year": str(year),
        "version": version,
        "url": str(entry.get("url") or entry.get("repository-code") or ""),
    }


def _parts(texts: Iterable[Any]) -> set[str]:
    return {part for text in texts if isinstance(text, str) for part in text.split(AND) if part}
