"""The sheet that figures are drawn on: widths, type size, formats, and how they are written."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from advprune.base import text
from advprune.base.errors import UserError
from advprune.base.files import atomic
from advprune.report.figures.style import FONT, LONGEST, SETTINGS, Style, labels, styles
from advprune.report.records import (
    Group,
    Record,
    full_title,
    group_of,
    names,
    reference_of,
    seed_spread,
    spread_mark,
)

# inches: one column and both of a two-column page, as IEEE and most proceedings have them
WIDTHS = {"column": 3.5, "page": 7.16}
SIZES = ("font.size", "axes.titlesize", "axes.labelsize")
DEFAULT_FONT = 7.0
DPI = 150
# what would otherwise be dates and versions
NO_METADATA = {
    ".pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    ".png": dict.fromkeys(("Software",)),
    ".svg": dict.fromkeys(("Date", "Creator")),
}
FORMATS = tuple(suffix[1:] for suffix in NO_METADATA)


@dataclass(frozen=True)
class Options:
    """How figures are drawn: width in inches (None: each its own), size of type in points.

    `methods` are the keys that curves highlight and other figures are about; none means that the
    figures choose. `note` stands above every figure, such as that the run is not complete.
    """

    width: float | None = None
    font: float = DEFAULT_FONT
    methods: tuple[str, ...] = ()
    note: str = ""

    @property
    def settings(self) -> dict[Any, Any]:
        """Matplotlib's settings."""
        sizes = {key: SETTINGS[key] + self.font - DEFAULT_FONT for key in SIZES}
        return SETTINGS | sizes

    @property
    def line(self) -> float:
        """Inches that a line of text takes."""
        return 0.135 * self.font / DEFAULT_FONT

    def inches(self, own: str = "column") -> float:
        """Width of a figure whose own is `own`."""
        return self.width or WIDTHS[own]

    def title(self, group: Group, own: str = "column") -> str:
        """Name of a group: in one line of a figure whose own width is `own`, or in two."""
        told = full_title(group)
        room = self._letters(self.inches(own))
        return told if len(told) < room else told.replace(": ", "\n", 1)

    def _letters(self, inches: float) -> int:
        """How many letters of a heading have room in a line."""
        return int(72 * inches / (0.58 * self.font))

    def head(self, figure: Figure | SubFigure, title: str = "") -> None:
        """Write the note and a title of all panels above a figure."""
        if self.note or title:
            note = textwrap.fill(self.note, self._letters(figure.bbox.width / figure.dpi))
            told = "\n".join(filter(None, (note, title)))
            figure.suptitle(told, fontsize=self.font - 0.5)

    def chosen(self, rows: Sequence[Record]) -> list[Record]:
        """The rows that were asked for, dense nets and references among them."""
        told = [r for r in rows if r["method"] in self.methods or always_shown(r)]
        return told if self.methods else list(rows)


DEFAULT = Options()


def is_reference(row: Record) -> bool:
    """Whether a row is a dense net or a reference, which figures always show."""
    return row["structure"] == "none" or bool(reference_of(row))


def always_shown(row: Record) -> bool:
    """Whether figures always highlight it: dense nets and references, but no variants of them."""
    return is_reference(row) and not row.get("variant_of")


def look(rows: Sequence[Record], methods: Mapping[str, Record]) -> dict[str, Style]:
    """Style of every method by key."""
    dense = {row["method"] for row in rows if row["structure"] == "none"}
    kinds = {row["method"]: kind for row in rows if (kind := reference_of(row))}
    keys = [*methods, *(row["method"] for row in rows)]
    own = {key: kind for key in keys if (kind := reference_of({"method": key}))}
    return styles(keys, dense, own | {k: kind for k, kind in kinds.items() if k not in dense})


def named(
    rows: Sequence[Record], methods: Mapping[str, Record], most: int = LONGEST
) -> dict[str, str]:
    """Names by key with their marks: ? doubted, ↕ seeds far apart, † flagged in every group."""
    known = dict.fromkeys((row["method"] for row in rows), Record()) | dict(methods)
    shown = labels(names(known), most)
    own: dict[str, dict[Group, list[Record]]] = {}
    for row in rows:
        own.setdefault(row["method"], {}).setdefault(group_of(row), []).append(row)
    found = {}
    for key, by_group in own.items():
        told = [marks(seeds) for seeds in by_group.values()]
        some = "".join(mark for mark in "?↕" if any(mark in t for t in told))
        found[key] = f"{shown[key]} {some}".rstrip() + "†" * all("†" in t for t in told)
    return found


def marks(rows: Sequence[Record]) -> str:
    """Marks of one method in one group, `rows` being its seeds."""
    fine = [row for row in rows if row["status"] == "ok"]
    spread = spread_mark(seed_spread(rows))
    return "?" * doubted(fine or rows) + spread + "†" * (not fine)


def doubted(rows: Sequence[Record]) -> bool:
    """Whether any of a method's seeds has a mark of possibly unreliable verdicts."""
    return any(row.get("reliability") for row in rows)


def legend(
    figure: Figure, entries: Sequence[tuple[Style, str]], columns: int, lines: bool = True
) -> None:
    """Names of methods at the foot of a figure, with their markers and, if asked for, lines."""
    handles = [
        Line2D(
            [],
            [],
            color=style.colour,
            ls=style.dash if lines else "",
            lw=1.2,
            marker=style.marker,
            ms=3 if lines else 3.8,
            mew=0,
            label=text,
        )
        for style, text in entries
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        handlelength=2.6 if lines else 1.0,
        fontsize="small",
    )


def settle(figure: Figure) -> None:
    """Lay a figure out for good: every further layout would cost as much as the drawing."""
    if figure.get_layout_engine() is not None:
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def empty(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(3.5, 1.0), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a PDF, PNG or SVG without dates or versions: equal figures give equal bytes."""
    path = Path(path)
    if path.suffix not in NO_METADATA:
        raise UserError(f"{path}: figures can be {', '.join(FORMATS)}")
    with atomic(path) as temporary, matplotlib.rc_context(SETTINGS):
        settle(figure)
        figure.savefig(temporary, dpi=DPI, metadata=NO_METADATA[path.suffix])


def svg(figure: Figure) -> str:
    """The figure as SVG text, to stand in a page: without the head that only a file needs.

    A reader may not have the font: Verdana's letters are as wide.
    """
    stream = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        settle(figure)
        figure.savefig(stream, format="svg", metadata=NO_METADATA[".svg"])
    drawn = stream.getvalue().replace(f"'{FONT}'", f"'{FONT}', Verdana, sans-serif")
    return drawn[drawn.index("<svg") :]


def columns_of(panels: int) -> int:
    """Columns in which so many panels stand: at most three, and two where that fills the lines."""
    return {0: 1, 1: 1, 2: 2, 4: 2}.get(panels, 3)


def scale_of(record: Record) -> int:
    """Return 255 where eps is written in pixel steps, so that the axis is too."""
    return 255 if record["eps_text"].endswith("/255") else 1


def eps_label(record: Record) -> str:
    """Label of the axis of perturbations."""
    norm = record["norm"].replace("Linf", "ℓ∞")
    return f"Perturbation size ε{' · 255' if scale_of(record) > 1 else ''} ({norm})"


def stem(*parts: object) -> str:
    """Name of a figure's file."""
    told = (f"{part:g}" if isinstance(part, float) else str(part) for part in parts)
    return "-".join(text.line(part) for part in told)
