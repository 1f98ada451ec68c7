"""How a file is read: by a known layout, or tensor by tensor as the entry asks. Without torch."""

from collections.abc import Mapping
from typing import Any

from advprune.base.errors import UserError
from advprune.base.text import few, line
from advprune.models.foreign import beside
from advprune.models.foreign.frames import COUNTER, FRAMES, PARTS, VGG_SIZE, frame, with_defaults
from advprune.models.foreign.match import Match, disagreement
from advprune.models.foreign.outline import Outline, tables
from advprune.models.foreign.reading import Asked, Reading, read
from advprune.models.foreign.recognise import UnknownLayoutError, recognise


def chosen(outline: Outline, asked: Asked) -> tuple[Match | None, Reading]:
    """The file's layout, None where it is read tensor by tensor, and what else the file holds.

    A file is read tensor by tensor if it is ours or has no known layout, or if `rename`, `masks`
    or `scores` say how. What can be read in neither way is a `UserError` of one line.
    """
    match = _layout(outline, asked)
    if match is None:
        return None, read(outline, asked)
    return match, _beside(outline, match, asked)


def check(
    outline: Outline, asked: Asked, net: Mapping[str, Any], sparsity: float, moments: bool
) -> None:
    """Refuse what an entry cannot mean, as far as names and shapes tell: a `UserError` of one line.

    `net` describes the entry's net (`specs.CheckNetSpec`); `moments` says whether it has mean and
    std.
    """
    match, reading = chosen(outline, asked)
    try:
        if match is None and outline.kind != "ours":
            _check_names(outline, reading, asked, net)
        if match and (wrong := disagreement(match, net)):
            raise UserError(wrong)
        if match and match.sparsity and not sparsity:
            raise UserError(f"its layout {match.layout} cuts scores at the sparsity: give it")
        if not moments:
            known_moments(match, asked)
    except UserError as error:
        raise UserError(f"{outline.path}: {line(str(error))}") from None


def _check_names(outline: Outline, reading: Reading, asked: Asked, net: Mapping[str, Any]) -> None:
    """Refuse names and shapes that are not our net's, where these are known before it is built."""
    if net["arch"] not in FRAMES or (net["arch"] == "vgg16" and net["size"] != VGG_SIZE):
        return
    layers = frame(with_defaults(net))
    ours = {f"{layer.name}.{part}" for layer in layers for part in PARTS[layer.kind]}
    found = set(reading.weights) - {f"{x.name}.bias" for x in layers if x.kind == "conv"}
    counters = {name for name in ours if name.endswith(COUNTER)}
    if wrong := [f"lacks {name}" for name in sorted(ours - found - counters)]:
        raise UserError(f"it {few(wrong)} of {net['arch']}{nearest(outline, asked)}")
    if more := sorted(found - ours):
        raise UserError(f"{net['arch']} has no {few(more)}{nearest(outline, asked)}")
    content = dict(tables(outline.content))
    wanted = {f"{x.name}.{p}": x.shape(w) for x in layers for p, w in PARTS[x.kind].items()}
    shapes = {n: content[way[:-1]][way[-1]].shape for n, way in reading.weights.items()}
    if other := [n for n in wanted if n in shapes and shapes[n] != wanted[n] and n not in counters]:
        first = f"{other[0]} is {list(shapes[other[0]])} instead of {list(wanted[other[0]])}"
        of = f" ({len(other)} tensors of another shape)" if len(other) > 1 else ""
        raise UserError(f"not this {net['arch']}: {first}{of}")


def known_moments(match: Match | None, asked: Asked) -> tuple[tuple[float, ...], ...]:
    """(mean, std) of a file's layout, for an entry that has none; a `UserError` if not known."""
    if match is None:
        raise UserError("mean and std are missing, and its layout is none that tells them")
    if match.mean is None or match.std is None:
        more = "mean and std" if asked.layout else "layout, or mean and std"
        raise UserError(f"mean and std are missing, and not certain ({match.images}): say {more}")
    return match.mean, match.std


def moments(
    match: Match | None, asked: Asked, channels: int
) -> tuple[tuple[tuple[float, ...], ...], list[str]]:
    """(mean, std) of a released file's layout, and a mark where nobody knows them: then 0 and 1."""
    if match and (match.mean is None or match.std is None):
        return ((0.0,) * channels, (1.0,) * channels), [f"not normalised: {match.images}"]
    return known_moments(match, asked), []


def nearest(outline: Outline, asked: Asked) -> str:
    """What to add where a file that has no known layout does not fit; may be empty."""
    if asked.by_hand or outline.kind == "ours":
        return ""
    try:
        recognise(outline, None, asked.key)
    except UnknownLayoutError as error:
        return "; " + str(error).removeprefix(f"{outline.path}: ")
    return ""


def _layout(outline: Outline, asked: Asked) -> Match | None:
    if asked.layout is None and (asked.by_hand or outline.kind == "ours"):
        return None
    try:
        leave = ["masks"] if asked.masks == "leave" else []
        match = recognise(outline, asked.layout, asked.key, leave)
    except UnknownLayoutError:
        if asked.layout is not None:
            raise
        return None
    return None if asked.scores == "apply" and not match.sparsity else match


def _beside(outline: Outline, match: Match, asked: Asked) -> Reading:
    """What lies beside a net whose layout is known."""
    found = dict(tables(outline.content))
    moments = beside.moments(outline, found, match.taken, match.ways)
    left_out = beside.others(found, match.taken)
    rest = set(found[match.taken]) - {way[-1] for way in match.ways.values()}
    left_out += [f"by key: {few(sorted(rest))}"] * bool(rest)
    left_out += ["masks"] * (asked.masks == "leave")
    if asked.moments == "leave":
        left_out += [f"its {kind} ({'.'.join(way)})" for way, kind in moments.items()]
    return Reading(
        taken=asked.key or ".".join(match.taken),
        weights={},
        masks={},
        scores={},
        moments=moments,
        left_out=left_out,
        no_net=beside.no_net(outline, found, match.taken),
    )
