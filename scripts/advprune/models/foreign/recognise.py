"""Which released layout a file has, told by the names and shapes of its tensors. Without torch.

A layout (`config/released/layouts/*.yaml`) says what an author's program writes and how a net of
ours is made of it. No numbers are read: the workflow asks while it plans.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advprune.base.errors import UserError
from advprune.base.text import few, line
from advprune.models.foreign import state
from advprune.models.foreign.fitted import Fitted, differences, fitted, sizes
from advprune.models.foreign.formulas import RANKED, Formula
from advprune.models.foreign.frames import COUNTER
from advprune.models.foreign.layouts import Layout, known
from advprune.models.foreign.outline import Outline, Way, tables
from advprune.models.foreign.pickles import TensorInfo
from advprune.models.foreign.reading import check_floats


class NoLayout(UserError):
    """The file has none of the known layouts."""


@dataclass(frozen=True)
class Match:
    """A file's layout, and the net of ours that it makes.

    `layouts` are all that fit and mean the same, `layout` the first; `method` is None where they
    are of several methods. `net` has "arch", "width", "classes", "channels" and of VGG16
    "final_pool" and "hidden" (numbers of units). `mean` and `std` (images in [0,1], a number per
    channel) are None where nobody knows or the layouts disagree: `images` says in words why.

    `tensors` has the formula of every tensor of our net but its normalisation; `ways` says where in
    the file the tensors lie that formulas name, and `moments`, by "mean" and "std", where the
    file's own are. `same` has ways to the first of tensors that lie there twice, by ways to the
    second, `masks` the way to a table of masks that are in the weights already. `sparsity` tells
    whether the removed share must be given, because scores are cut at it; `learned_shares` that
    equal shares of all layers are a fault. `taken` is the place of the state dict, `notes` are
    lines for the row's `marks`.
    """

    layout: str
    layouts: tuple[str, ...]
    method: str | None
    net: Mapping[str, Any]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    images: str
    tensors: Mapping[str, Formula]
    ways: Mapping[str, Way]
    moments: Mapping[str, Way]
    same: Mapping[Way, Way]
    masks: Way | None
    sparsity: bool
    learned_shares: bool
    taken: Way
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Fit:
    """A layout at one way of reading a file's names, and where the file differs from it."""

    layout: Layout
    fitted: Fitted
    names: Mapping[str, Way]
    differences: list[str]

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What must be equal for two layouts to make the same net: formulas of places."""
        made = {n: f.placed(self.names) for n, f in self.fitted.tensors.items() if n[-7:] != "tracked"}
        return tuple(sorted(self.fitted.net.items(), key=str)), tuple(sorted(made.items(), key=str))


def recognise(
    outline: Outline, layout: str | None = None, key: str | None = None, leave: Collection[str] = ()
) -> Match:
    """The layout of a file; one that has none, or several that mean different nets, a `UserError`.

    `layout` is the name of a layout or of a method and leaves only those; `key` is the place of
    the state dict in the file where it holds several; `leave` names "masks" where a table of them
    may be left out. The error is one line that says what was found and what is nearest; it is a
    `NoLayout` where no known layout fits.
    """
    try:
        return _recognise(outline, layout, key, leave)
    except UserError as error:
        raise type(error)(f"{outline.path}: {line(str(error))}") from None


def _recognise(
    outline: Outline, layout: str | None, key: str | None, leave: Collection[str]
) -> Match:
    found = dict(tables(outline.content))
    way, names = state.choose(outline, found, key)
    infos = {w: found[way][w[-1]] for w in names.values()}
    fits = [fit for one in _asked(layout) for fit in _fits(one, names, infos)]
    exact = [fit for fit in fits if not fit.differences]
    if not exact:
        nearest = min(fits, key=lambda fit: len(fit.differences))
        other = [fit.layout.name for one in known().values() for fit in _fits(one, names, infos) if not fit.differences]
        raise NoLayout(_no_layout(nearest, len(names), layout, other))
    if len({fit.meaning for fit in exact}) > 1:
        raise UserError(f"fits {_known(exact)}, which are different nets: say which one by layout")
    _check_beside(found, way, exact[0].layout, leave)
    check_floats({n: infos[w] for n, w in exact[0].names.items() if not n.endswith(("mask", COUNTER))})
    return _match(exact, infos, way)


def _asked(layout: str | None) -> list[Layout]:
    """The layouts of a name or of a method; all without one."""
    chosen = [one for one in known().values() if layout in (None, one.name, one.method)]
    if not chosen:
        methods = dict.fromkeys(one.method for one in known().values())
        raise UserError(f"layout '{layout}' is not known (methods: {', '.join(methods)})")
    return chosen


def _fits(layout: Layout, names: Mapping[str, Way], infos: Mapping[Way, TensorInfo]) -> Iterator[_Fit]:
    """The layout at every way of reading the names: whole, and without prefixes that all have."""
    whole = {way[-1]: way for way in names.values()}
    readings = [whole, *state.stages(whole), dict(names)]
    for i, reading in enumerate(readings):
        if reading not in readings[:i]:
            table = {name: infos[way] for name, way in reading.items()}
            fit = fitted(layout, **sizes(layout, table))
            yield _Fit(layout, fit, reading, differences(fit, table))


def _no_layout(nearest: _Fit, tensors: int, layout: str | None, other: list[str]) -> str:
    """What to say where nothing fits."""
    name, found = nearest.layout.name, nearest.differences
    if layout and other:
        return f"is not of layout {layout} but of {', '.join(dict.fromkeys(other))}"
    what = f"of layout {layout}" if layout else "of any known layout"
    return f"its {tensors} tensors are not {what}; nearest is {name}, but it {few(found)}"


def _known(fits: list[_Fit]) -> str:
    return " and ".join(dict.fromkeys(fit.layout.name for fit in fits))


def _check_beside(found: state.Tables, way: Way, layout: Layout, leave: Collection[str]) -> None:
    """Refuse masks and scores in tables of their own that the layout does not know of."""
    for other, table in found.items():
        part = state.role(other, table)
        place = ".".join(other)
        if other == way or part not in state.PARTS or place == layout.masks or part in leave:
            continue
        raise UserError(
            f"its net is of layout {layout.name}, which has no {part}, but it holds {part} at "
            f"'{place}' ({few(table)}): {part}: leave takes the weights as they are"
        )


def _match(fits: list[_Fit], infos: Mapping[Way, TensorInfo], taken: Way) -> Match:
    first = fits[0]
    layouts = list({fit.layout.name: fit.layout for fit in fits}.values())
    methods = {layout.method for layout in layouts}
    images = {(layout.mean, layout.std): None for layout in layouts}
    mean, std = next(iter(images)) if len(images) == 1 else (None, None)
    ways = first.names
    kept = {n: f for n, f in first.fitted.tensors.items() if all(m in ways for m in f.names())}
    ranked = any(op in RANKED for formula in kept.values() for op in formula.operations())
    half = [n for n, w in ways.items() if infos[w].dtype in ("float16", "bfloat16")]
    kinds = dict.fromkeys(infos[ways[name]].dtype for name in half)
    notes = [note for note in first.layout.notes]
    notes += [f"held in half precision ({', '.join(kinds)}): {few(half)}"] * bool(half)
    masks = first.layout.masks
    return Match(
        layout=first.layout.name,
        layouts=tuple(layout.name for layout in layouts),
        method=methods.pop() if len(methods) == 1 else None,
        net=first.fitted.net,
        mean=mean,
        std=std,
        images="; ".join(f"{layout.name}: {layout.images}" for layout in layouts),
        tensors=kept,
        ways=ways,
        moments={kind: ways[name] for kind, name in first.layout.moments.items()},
        same={ways[second]: ways[name] for second, name in first.fitted.same.items()},
        masks=tuple(masks.split(".")) if masks else None,
        sparsity=ranked,
        learned_shares=all(layout.learned_shares for layout in layouts),
        taken=taken,
        notes=tuple(notes),
    )


def disagreement(match: Match, net: Mapping[str, Any]) -> str | None:
    """Why a net's description, by the names of `Match.net`, is not the layout's; None if it is."""
    wrong = {key: value for key, value in match.net.items() if _plain(net.get(key)) != _plain(value)}
    if not wrong:
        return None
    has = ", ".join(f"{key} {value}" for key, value in wrong.items())
    given = ", ".join(f"{key} {net.get(key)}" for key in wrong)
    return f"its layout {match.layout} has {has}, and the configuration {given}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
