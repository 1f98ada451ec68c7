"""The methods of a page: what is known of each, and how it is drawn."""

from dataclasses import dataclass
from typing import Any

from advprune.report.figures.style import Style, labels, styles
from advprune.report.page.content import Content
from advprune.report.records import REFERENCES, Record, reference_of

FIDELITY = {
    "code": "checked against the authors' code",
    "paper": "written from the paper",
    "reconstructed": "rebuilt: its paper was not read and there is no usable code",
}
# the markers of figures as paths in a square of side 2, which Vega and SVG understand
SHAPES = {
    "o": "M-.9,0A.9,.9,0,1,0,.9,0A.9,.9,0,1,0,-.9,0Z",
    "s": "M-.8,-.8L.8,-.8L.8,.8L-.8,.8Z",
    "^": "M0,-1L1,.8L-1,.8Z",
    "v": "M0,1L1,-.8L-1,-.8Z",
    "<": "M-1,0L.8,-1L.8,1Z",
    ">": "M1,0L-.8,-1L-.8,1Z",
    "D": "M0,-1L1,0L0,1L-1,0Z",
    "d": "M0,-1L.6,0L0,1L-.6,0Z",
    "P": "M-.3,-1H.3V-.3H1V.3H.3V1H-.3V.3H-1V-.3H-.3Z",
    "X": "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "*": "M0,-1L.25,-.3L1,-.3L.4,.15L.62,.9L0,.45L-.62,.9L-.4,.15L-1,-.3L-.25,-.3Z",
    "p": "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z",
    "h": "M0,-1L.87,-.5L.87,.5L0,1L-.87,.5L-.87,-.5Z",
    "H": "M-1,0L-.5,-.87L.5,-.87L1,0L.5,.87L-.5,.87Z",
    "8": "M-.4,-1L.4,-1L1,-.4L1,.4L.4,1L-.4,1L-1,.4L-1,-.4Z",
}


@dataclass(frozen=True)
class Methods:
    """Keys of a page's methods and, in the same order, what the page holds of each."""

    keys: list[str]
    entries: list[Record]


def described(content: Content) -> Methods:
    """The methods that have evaluations, by key, each with the style that all figures give it."""
    models = [e["model"] for e in content.evaluations]
    keys = sorted({model["method"] for model in models})
    unpruned = {m["method"] for m in models if m["structure"] == "none"}
    dense = unpruned & {"dense"}
    kinds = {key: key for key in content.methods if key in REFERENCES}
    kinds |= {m["method"]: kind for m in models if (kind := reference_of(m))}
    look = styles([*content.methods, *keys], dense, kinds)
    short = labels({key: str(content.methods.get(key, {}).get("name", key)) for key in keys})
    return Methods(
        keys,
        [
            _entry(key, content.methods.get(key, {}))
            | {"short": short[key], "kind": _kind(key, unpruned, kinds)}
            | _drawn(look[key])
            for key in keys
        ],
    )


def _kind(key: str, unpruned: set[str], kinds: dict[str, str]) -> str:
    """What is always drawn, "dense" and "reference"; their "variant"; and any other "method"."""
    if key == "dense" or key in REFERENCES:
        return "dense" if key == "dense" else "reference"
    return "variant" if key in unpruned or key in kinds else "method"


def _drawn(style: Style) -> Record:
    dash: Any = [] if isinstance(style.dash, str) else [round(1.6 * x, 1) for x in style.dash[1]]
    return {"colour": style.colour, "dash": dash, "shape": SHAPES[style.marker]}


def _entry(key: str, method: Record) -> Record:
    """Select a method's fields for the page; only web addresses become links."""
    citation = method.get("citation") or {}
    url = str(citation.get("url", ""))
    return {
        "key": key,
        "name": str(method.get("name", key)),
        "stage": str(method.get("stage", "")),
        "fidelity": str(method.get("fidelity", "")),
        "taxonomy": {str(k): str(v) for k, v in (method.get("taxonomy") or {}).items()},
        "citation": {k: str(citation.get(k, "")) for k in ("title", "authors", "venue", "year")},
        "url": url if url.startswith(("https://", "http://")) else "",
        "deviations": [str(text) for text in method.get("deviations") or []],
    }
