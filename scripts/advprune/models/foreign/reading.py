"""Which of a file's tensors are the net, under our names, and what else the file holds.

Decided on the outline. Where a file leaves a choice, it is refused until the configuration's entry
makes it: nothing is chosen in silence, and what is left out is told. Without torch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from advprune.base.errors import UserError
from advprune.base.text import few, line
from advprune.models.foreign import beside, state
from advprune.models.foreign.outline import Outline, Way, tables
from advprune.models.foreign.pickles import TensorInfo


@dataclass(frozen=True)
class Asked:
    """What a configuration says of a file: see docs/external.md for the words of each field."""

    rename: Mapping[str, str | None] = field(default_factory=dict)
    key: str | None = None
    masks: str | None = None
    scores: str | None = None
    moments: str | None = None
    layout: str | None = None

    @property
    def by_hand(self) -> bool:
        """Whether it says how tensors are read, so that no layout is looked for."""
        return bool(self.rename) or self.masks == "apply" or self.scores == "leave"

    def word(self, part: str, ours: bool) -> str | None:
        """What is asked for masks or scores; our own files' masks are known to hold."""
        return "leave" if ours else {"masks": self.masks, "scores": self.scores}[part]


@dataclass(frozen=True)
class Reading:
    """Ways to tensors: of the net by our names, of masks and scores by the weight they belong to.

    `moments` has "mean" or "std" by the way of what may be one. `taken` is the place of the state
    dict, empty for the file's top. `left_out` names what could have made another net, `no_net` what
    could not: epochs, optimisers, arguments.
    """

    taken: str
    weights: dict[str, Way]
    masks: dict[str, Way]
    scores: dict[str, Way]
    moments: dict[Way, str]
    left_out: list[str]
    no_net: list[str]


def read(outline: Outline, asked: Asked) -> Reading:
    """Choose; a choice that the file leaves open, or cannot grant, is a `UserError` of one line."""
    try:
        return _read(outline, asked)
    except UserError as error:
        raise UserError(f"{outline.path}: {line(str(error))}") from None


def _read(outline: Outline, asked: Asked) -> Reading:
    ours = outline.kind == "ours"
    found = dict(tables(outline.content))
    way, names = state.choose(outline, found, asked.key or ("net" if ours else None))
    kept, dropped = state.renamed(names, asked.rename)
    moments = beside.moments(outline, found, way, kept)
    weights = {n: w for n, w in kept.items() if w not in moments}
    dropped = {n: w for n, w in dropped.items() if w not in moments}
    weights, masks = _torchs_own(weights)
    parts: dict[str, dict[str, Way]] = {}
    left_out = [] if ours else beside.others(found, way)
    for part in state.PARTS:
        inside = {n: w for n, w in (weights | dropped).items() if beside.is_part(part, n)}
        weights, dropped = (
            {n: w for n, w in some.items() if n not in inside} for some in (weights, dropped)
        )
        of_part = inside | beside.table_of(part, found, way, asked.rename)
        word = asked.word(part, ours) if of_part or not ours else None
        parts[part] = beside.targets(part, word, of_part, weights)
        if of_part and word == "leave" and not ours:
            left_out.append(f"{part} ({few(of_part)})")
    check_floats({name: found[way][w[-1]] for name, w in weights.items()})
    rest = {n: w for n, w in _all_names(found, way).items() if w not in names.values()}
    left_out += [f"by key: {few(rest)}"] * bool(rest)
    left_out += [f"by rename: {few(dropped)}"] * bool(dropped)
    if asked.moments == "leave":
        left_out += [f"its {kind} ({'.'.join(w)})" for w, kind in moments.items()]
    return Reading(
        taken=asked.key or ".".join(way),
        weights=weights,
        masks=masks | parts["masks"],
        scores=parts["scores"],
        moments=moments,
        left_out=left_out,
        no_net=beside.no_net(outline, found, way),
    )


def _torchs_own(names: Mapping[str, Way]) -> tuple[dict[str, Way], dict[str, Way]]:
    """(weights, masks), where torch.nn.utils.prune has left the two apart.

    Its `weight_orig` and `weight_mask` are one weight by definition, so nothing is to be asked.
    """
    apart = {name.removesuffix("_orig") for name in names if name.endswith("_orig")}
    apart = {name for name in apart if f"{name}_mask" in names}
    inner = {f"{name}_{end}" for name in apart for end in ("orig", "mask")}
    weights = {name: way for name, way in names.items() if name not in inner}
    weights |= {name: names[f"{name}_orig"] for name in apart}
    return weights, {name: names[f"{name}_mask"] for name in apart}


def check_floats(weights: Mapping[str, TensorInfo]) -> None:
    """Refuse whole numbers for weights: only the scales of their maker would make some of them."""
    for name, tensor in weights.items():
        if tensor.shape and not re.match(r"b?float(?!8)|meta", tensor.dtype):
            raise UserError(
                f"{name} holds integer, complex or 8-bit numbers ({tensor.dtype}), and what scales "
                "them is not read: save floats"
            )
        if tensor.dtype == "meta":
            raise UserError(f"{name} has a shape but no numbers: it was saved on the meta device")


def _all_names(found: state.Tables, way: Way) -> dict[str, Way]:
    return {name: (*way, name) for name in found[way]}
