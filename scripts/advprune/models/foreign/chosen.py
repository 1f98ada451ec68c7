"""How a file is read: by a known layout, or tensor by tensor as the entry asks. Without torch."""

from advprune.base.errors import UserError
from advprune.base.text import few
from advprune.models.foreign import beside
from advprune.models.foreign.match import Match
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


def known_moments(match: Match | None, asked: Asked) -> tuple[tuple[float, ...], ...]:
    """(mean, std) of a file's layout, for an entry that has none; a `UserError` if not known."""
    if match is None:
        raise UserError("mean and std are missing, and its layout is none that tells them")
    if match.mean is None or match.std is None:
        more = "mean and std" if asked.layout else "layout, or mean and std"
        raise UserError(f"mean and std are missing, and not certain ({match.images}): say {more}")
    return match.mean, match.std


def nearest(outline: Outline, asked: Asked) -> str:
    """What to add where a file that has no known layout does not fit; may be empty."""
    if _by_hand(outline, asked):
        return ""
    try:
        recognise(outline, None, asked.key)
    except UnknownLayoutError as error:
        return "; " + str(error).removeprefix(f"{outline.path}: ")
    return ""


def _layout(outline: Outline, asked: Asked) -> Match | None:
    if asked.layout is None and _by_hand(outline, asked):
        return None
    try:
        leave = ["masks"] if asked.masks == "leave" else []
        match = recognise(outline, asked.layout, asked.key, leave)
    except UnknownLayoutError:
        if asked.layout is not None:
            raise
        return None
    return None if asked.scores == "apply" and not match.sparsity else match


def _by_hand(outline: Outline, asked: Asked) -> bool:
    apart = asked.masks == "apply" or asked.scores == "leave"
    return outline.kind == "ours" or bool(asked.rename) or apart


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
