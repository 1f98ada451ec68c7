"""Figures of the answers: as files for papers, and as SVG text for the page."""

from pathlib import Path

from matplotlib.figure import Figure

from advprune.report.answers.section import Picture
from advprune.report.figures.canvas import save, svg


def picture(figure: Figure, alt: str, caption: str, *files: Path) -> Picture:
    """Write a figure to files (PDF, PNG) and return it for the page."""
    for path in files:
        save(figure, path)
    return Picture(svg(figure), alt, caption)
