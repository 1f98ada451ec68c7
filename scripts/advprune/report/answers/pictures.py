"""Figures of the answers: as files for papers, and as SVG text for the page."""

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from advprune.report.answers.section import Picture
from advprune.report.curves import save
from advprune.report.style import SETTINGS

# text stays text: smaller, found by a search, and read aloud
AS_TEXT = {"svg.fonttype": "none", "svg.hashsalt": "advprune"}


def picture(figure: Figure, alt: str, caption: str, *files: Path) -> Picture:
    """Write a figure to files (PDF, PNG) and return it for the page."""
    for path in files:
        save(figure, path)
    return Picture(svg(figure), alt, caption)


def svg(figure: Figure) -> str:
    """The figure as an SVG element, without a date: equal figures give equal text."""
    stream = io.StringIO()
    with matplotlib.rc_context(SETTINGS | AS_TEXT):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
