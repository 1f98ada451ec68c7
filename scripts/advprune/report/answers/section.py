"""A section of the page: what an analysis hands to it, as one file of JSON.

The analyses run as jobs of their own, so that a change of the page does not make them stale; what
they found lies beside the tables and is only shown by the page.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dacite

from advprune.base.files import read_json, write_json


@dataclass(frozen=True)
class Picture:
    """A figure: SVG text, what it shows in a sentence for who cannot see it, and its caption."""

    svg: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Grid:
    """A table of text: header, rows as long as it, and a caption. The page escapes every cell."""

    header: list[str]
    rows: list[list[str]]
    caption: str


@dataclass(frozen=True)
class Section:
    """Title, paragraphs of plain text, figures and tables, in this order; `key` is its anchor."""

    key: str
    title: str
    text: list[str]
    pictures: list[Picture] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the section, atomically."""
        write_json(path, asdict(self))


def read_sections(paths: Sequence[Path]) -> list[Section]:
    """The sections of these files, in their order."""
    return [dacite.from_dict(Section, read_json(path)) for path in paths]
