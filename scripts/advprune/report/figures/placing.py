"""Names beside points, where there is room for them."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

Point = tuple[float, float, str]
Segment = tuple[tuple[float, float], tuple[float, float]]
GAP = 3.0  # points between a mark and its name
# directions in the order in which they are tried: (x, y, horizontal, vertical alignment)
SIDES = (
    *((1, 0, "left", "center"), (-1, 0, "right", "center")),
    *((0, 1, "center", "bottom"), (0, -1, "center", "top")),
    *((1, 1, "left", "bottom"), (-1, 1, "right", "bottom")),
    *((1, -1, "left", "top"), (-1, -1, "right", "top")),
)


def place(
    axes: Axes,
    points: Sequence[Point],
    others: Sequence[Point],
    size: float,
    lines: Sequence[Segment] = (),
) -> int:
    """Write the names of `points` (x, y, name), the first ones first; returns how many had room.

    The figure's layout must be final (`canvas.settle`). A name covers no other name, no mark,
    `others` included, and none of the upright or level `lines`, and does not leave the axes; one
    that finds no such place is left out.
    """
    figure = axes.get_figure(root=True)
    if figure is None or not isinstance(figure.canvas, FigureCanvasAgg):
        raise ValueError("the figure is not settled (canvas.settle)")
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    radius = GAP * figure.dpi / 72 / 2
    frame = axes.get_window_extent(renderer).padded(1)
    marks = [axes.transData.transform((x, y)) for x, y, _ in (*points, *others)]
    taken = [Bbox([[x - radius, y - radius], [x + radius, y + radius]]) for x, y in marks]
    taken += [Bbox(axes.transData.transform(line)).padded(0.5) for line in lines]
    placed = 0
    for x, y, name in points:
        for dx, dy, ha, va in SIDES:
            told = axes.annotate(
                name,
                (x, y),
                (GAP * dx, GAP * dy),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=size,
                zorder=6,
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            )
            box = told.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0
            if inside and box.y1 <= frame.y1 and not any(box.overlaps(t) for t in taken):
                taken.append(box)
                placed += 1
                break
            told.remove()
    return placed
