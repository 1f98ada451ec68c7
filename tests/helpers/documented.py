"""What docs/files.md says of the files of a run."""

import csv
import re
from pathlib import Path

from helpers.checkout import ROOT

PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
MODEL = "<dataset>/<arch>/<method>/<target>/seed<n>/"
SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n)*)", flags=re.M)


def _names(cells: str) -> list[str]:
    """What stands in backticks in the first column of the tables of a section."""
    first = (line.split("|")[1] for line in cells.splitlines() if line.startswith("| `"))
    return [name for cell in first for name in re.findall(r"`([^`]+)`", cell)]


def _pattern(name: str) -> re.Pattern[str]:
    """`<dataset>/test.safetensors` as a pattern in which a placeholder is part of a name."""
    name = name.replace("<model>/", MODEL)
    return re.compile("".join(p if p == "[^/]+" else re.escape(p) for p in _parts(name)))


def _parts(name: str) -> list[str]:
    return ["[^/]+" if part.startswith("<") else part for part in re.split(r"(<\w+>)", name)]


SECTIONS = dict(SECTION.findall(PAGE))
_general, _of_model = SECTIONS["Files"].split("A model's folder is")
FILES = [_pattern(name) for name in _names(_general)]
FILES += [_pattern(MODEL + name) for name in _names(_of_model)]
CARD = set(_names(SECTIONS["Cards"]))
COLUMNS = [
    (_pattern(title.split("`")[1]), _names(text))
    for title, text in SECTIONS.items()
    if title.startswith("Columns: ")
]


def undocumented_files(run: Path) -> list[str]:
    """Files of a run that no pattern of the page fits, by their paths in it."""
    found = (p.relative_to(run) for p in sorted(run.rglob("*")) if p.is_file())
    names = (p.as_posix() for p in found if not any(s.startswith(".") for s in p.parts))
    return [name for name in names if not any(p.fullmatch(name) for p in FILES)]


def columns_of(name: str) -> list[str]:
    """Columns that the page has for a table, that of the closest pattern; none if none fits."""
    fits = [(len(p.pattern), columns) for p, columns in COLUMNS if p.fullmatch(name)]
    return max(fits)[1] if fits else []


def columns_apart(run: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Per CSV file of a run: (columns that the page lacks, that it has and the file does not)."""
    found = {}
    for path in sorted(run.rglob("*.csv")):
        name = path.relative_to(run).as_posix()
        listed = columns_of(name)
        with path.open(encoding="utf-8", newline="") as file:
            head = next(csv.reader(file))
        missing = [column for column in head if column not in listed]
        more = [column for column in listed if column not in head]
        if missing or more:
            found[name] = (missing, more)
    return found
