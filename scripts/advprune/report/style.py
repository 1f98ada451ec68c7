"""The look of all figures: type sizes, and a colour-blind safe style that belongs to a method."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.font_manager import findfont, get_font

from advprune.base import text

FONT = "DejaVu Sans"  # comes with matplotlib, so figures look the same everywhere
LONGEST = 28  # letters of a name; with more, curves would have no room beside it
# Wong 2011 (Okabe-Ito) without black and yellow, plus indigo and wine of Tol's muted scheme
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255")
DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1.0)), (0, (5, 1.2, 1.2, 1.2)))
MARKERS = ("o", "s", "^", "D")
SETTINGS: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # dollars in a name are dollars
    "pdf.fonttype": 42,  # embedded TrueType: Type 3 fonts are refused by many proceedings
}


@dataclass(frozen=True)
class Style:
    """How a method is drawn, everywhere."""

    colour: str
    dash: str | tuple[float, tuple[float, ...]]
    marker: str


DENSE = Style("#6e6e6e", (0, (4, 2)), "o")
GREYS = ("#a0a0a0", "#3c3c3c", "#7f7f7f")  # one per kind of reference


def styles(
    methods: Iterable[str], dense: Iterable[str] = (), references: Mapping[str, str] | None = None
) -> dict[str, Style]:
    """Give every method a style by its rank among all keys; dense nets share one.

    `references` maps keys to the kind of reference that they are: dashed, a grey per kind, a
    dash per variant. Up to 8 methods differ in colour, up to 32 in colour and line. Pass all
    methods of a report, not those of one figure, so that a method looks the same in all of them.
    """
    found = dict.fromkeys(dense, DENSE)
    by_kind: dict[str, list[str]] = {}
    for key, kind in sorted((references or {}).items()):
        by_kind.setdefault(kind, []).append(key)
    for place, kind in enumerate(sorted(by_kind)):
        for variant, key in enumerate(by_kind[kind]):
            dash = DASHES[1 + variant % (len(DASHES) - 1)]
            found[key] = Style(GREYS[place % len(GREYS)], dash, MARKERS[variant % len(MARKERS)])
    for rank, key in enumerate(sorted(set(methods) - set(found))):
        lap = rank // len(COLOURS) % len(DASHES)
        found[key] = Style(COLOURS[rank % len(COLOURS)], DASHES[lap], MARKERS[lap])
    return found


def labels(names: Mapping[str, str], most: int = LONGEST) -> dict[str, str]:
    """Names by key as figures show them: of at most `most` letters, all of which the font has.

    The key stands for a name with other letters, and for those that would look the same.
    """
    known = get_font(findfont(FONT)).get_charmap()
    lines = {key: text.line(name) for key, name in names.items()}
    fits = {key: all(ord(c) in known for c in name) for key, name in lines.items()}
    found = {key: text.short(name, most) if fits[key] else key for key, name in lines.items()}
    told = list(found.values())
    return {key: name if told.count(name) == 1 else key for key, name in found.items()}
