"""The look of all figures: a colour-blind safe style that belongs to a method, and type sizes.

A method of the survey looks the same in every figure of every run: its place in `ORDER` decides.
What the list does not name, such as a method of one's own, takes the places behind it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.font_manager import findfont, get_font

from advprune.base import text
from advprune.base.errors import UserError

FONT = "DejaVu Sans"  # comes with matplotlib, so figures look the same everywhere
LONGEST = 28  # letters of a name; with more, curves would have no room beside it
# Wong 2011 (Okabe-Ito) without black and yellow, plus indigo and wine of Tol's muted scheme
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255")
DASHES = (
    *("-", (0, (5, 1.2)), (0, (1.2, 1.0)), (0, (5, 1.2, 1.2, 1.2))),
    (0, (8, 1.2, 1.2, 1.2, 1.2, 1.2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">")
# Those next to one another differ in colour; a new method of the survey comes last, so that the
# others keep their looks.
ORDER = (
    *("flyingbird", "hydra", "radmm", "harp", "awt", "li20", "bcsp", "dnr"),
    *("flyingbird_plus", "heracles", "wang20", "rst", "snip", "lottery", "twinrep", "bnap"),
    *("robustbird", "mad", "deadwooding", "sehwag19", "pwoa", "cosentino19", "intrain", "rsr"),
    *("lamp", "obd", "taylor", "filter_l1", "fre", "fsrp", "luo23", "mrs", "rfp", "srgkp"),
)
REFERENCE_DASHES = DASHES[1:]
DENSE = "dense"  # the kind of nets that are not pruned; the others are the keys of references
# greys alone are hard to tell apart: each kind begins with another dash and marker too
GREYS = {DENSE: "#111111", "lwm": "#4a4a4a", "random": "#787878", "global_magnitude": "#a0a0a0"}
REST = "#cfcfcf"  # a curve that is not highlighted
SETTINGS: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.05,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "legend.frameon": False,
    "text.parse_math": False,  # dollars in a name are dollars
    "pdf.fonttype": 42,  # embedded TrueType: Type 3 fonts are refused by many proceedings
    "svg.fonttype": "none",  # text stays text: searchable, and a tenth of the size
    "svg.hashsalt": "advprune",
}


@dataclass(frozen=True)
class Style:
    """How a method is drawn, everywhere."""

    colour: str
    dash: str | tuple[float, tuple[float, ...]]
    marker: str


def styles(
    methods: Iterable[str], dense: Iterable[str] = (), references: Mapping[str, str] | None = None
) -> dict[str, Style]:
    """Give every method a style; no two are the same.

    `references` maps keys to the kind of reference that they are: dashed, a grey per kind; those of
    `dense` are a kind of their own. Up to 40 methods differ in colour and line, and in colour and
    marker; more than 320, or 32 of one kind of reference, are a UserError.
    """
    kinds = dict(sorted((references or {}).items())) | dict.fromkeys(sorted(dense), DENSE)
    found: dict[str, Style] = {}
    for kind in sorted(set(kinds.values())):
        own = [key for key in kinds if kinds[key] == kind]
        # the kind's own name comes first, so that its variants do not change its look
        for place, key in enumerate(sorted(own, key=lambda k: (k != kind, k))):
            found[key] = _reference(kind, place)
    others = sorted(set(methods) - set(ORDER) - set(found))
    places = {key: place for place, key in enumerate((*ORDER, *others))}
    return found | {key: _style(places[key]) for key in sorted(set(methods) - set(found))}


def _style(place: int) -> Style:
    lap, colour = divmod(place, len(COLOURS))
    turn, dash = divmod(lap, len(DASHES))
    if turn >= len(MARKERS):
        raise UserError(f"figures can tell {place} methods apart, and no more")
    return Style(COLOURS[colour], DASHES[dash], MARKERS[(dash + turn) % len(MARKERS)])


def _reference(kind: str, place: int) -> Style:
    turn, dash = divmod(place, len(REFERENCE_DASHES))
    if turn >= len(MARKERS):
        raise UserError(f"figures can tell {place} variants of {kind} apart, and no more")
    first = list(GREYS).index(kind)
    marker = MARKERS[(first + dash + turn) % len(MARKERS)]
    return Style(GREYS[kind], REFERENCE_DASHES[(first + dash) % len(REFERENCE_DASHES)], marker)


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
