"""Which released layout a file has, told by the names and shapes of its tensors. Without torch.

A layout (`config/released/layouts/*.yaml`) says what an author's program writes and how a net of
ours is made of it. No numbers are read: the workflow asks while it plans.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from advprune.base.errors import UserError
from advprune.base.text import few, line
from advprune.models.foreign import state
from advprune.models.foreign.fitted import Fitted, differences, fitted, sizes
from advprune.models.foreign.formulas import RANKED
from advprune.models.foreign.frames import COUNTER
from advprune.models.foreign.layouts import Layout, known
from advprune.models.foreign.match import Match
from advprune.models.foreign.outline import Outline, Way, tables
from advprune.models.foreign.pickles import TensorInfo
from advprune.models.foreign.reading import check_floats


class UnknownLayoutError(UserError):
    """The file has none of the known layouts."""


@dataclass(frozen=True)
class _Fit:
    """A layout at one way of reading a file's names, and where the file differs from it."""

    layout: Layout
    fitted: Fitted
    names: Mapping[str, Way]
    differences: list[str]

    @property
    def meaning(self) -> tuple[str, str]:
        """What must be equal for two layouts to make the same net: formulas of places."""
        made = {name: f.placed(self.names) for name, f in self.fitted.tensors.items()}
        return str(sorted(self.fitted.net.items())), str(sorted(made.items()))


def recognise(
    outline: Outline, layout: str | None = None, key: str | None = None, leave: Collection[str] = ()
) -> Match:
    """The layout of a file; one that has none, or several that mean different nets, a `UserError`.

    `layout` is the name of a layout or of a method and leaves only those; `key` is the place of
    the state dict in the file where it holds several; `leave` names "masks" where a table of them
    may be left out. The error is one line that says what was found and what is nearest; it is a
    `UnknownLayoutError` where no known layout fits.
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
    fits = [fit for one in known().values() for fit in _fits(one, names, infos)]
    asked = [fit for fit in fits if fit.layout in _asked(layout)]
    exact = [fit for fit in asked if not fit.differences]
    if not exact:
        raise UnknownLayoutError(_no_layout(asked, fits, len(names), layout))
    if len({fit.meaning for fit in exact}) > 1:
        raise UserError(f"fits {_known(exact)}, which are different nets: say which one by layout")
    _check_beside(found, way, exact[0].layout, leave)
    check_floats(
        {n: infos[w] for n, w in exact[0].names.items() if not n.endswith(("mask", COUNTER))}
    )
    return _match(exact, infos, way)


def _asked(layout: str | None) -> list[Layout]:
    """The layouts of a name or of a method; all without one."""
    chosen = [one for one in known().values() if layout in (None, one.name, one.method)]
    if not chosen:
        methods = dict.fromkeys(one.method for one in known().values())
        raise UserError(f"layout '{layout}' is not known (methods: {', '.join(methods)})")
    return chosen


def _fits(
    layout: Layout, names: Mapping[str, Way], infos: Mapping[Way, TensorInfo]
) -> Iterator[_Fit]:
    """The layout at every way of reading the names: whole, and without prefixes that all have."""
    whole = {way[-1]: way for way in names.values()}
    readings = [whole, *state.stages(whole), dict(names)]
    for i, reading in enumerate(readings):
        if reading not in readings[:i]:
            table = {name: infos[way] for name, way in reading.items()}
            fit = fitted(layout, **sizes(layout, table))
            yield _Fit(layout, fit, reading, differences(fit, table))


def _no_layout(asked: list[_Fit], fits: list[_Fit], tensors: int, layout: str | None) -> str:
    """What to say where nothing fits."""
    other = [fit for fit in fits if not fit.differences]
    if layout and other:
        return f"is not of layout {layout} but of {_known(other)}"
    nearest = min(asked, key=lambda fit: len(fit.differences))
    what = f"of layout {layout}" if layout else "of any known layout"
    found = few(nearest.differences)
    return f"its {tensors} tensors are not {what}; nearest is {nearest.layout.name}, but it {found}"


def _known(fits: list[_Fit]) -> str:
    return " and ".join(dict.fromkeys(fit.layout.name for fit in fits))


def _check_beside(found: state.Tables, way: Way, layout: Layout, leave: Collection[str]) -> None:
    """Refuse masks and scores in tables of their own that the layout does not know of."""
    if "masks" in leave and all(state.role(w, t) != "masks" for w, t in found.items()):
        raise UserError("masks: leave, but it holds none")
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
    notes = list(first.layout.notes)
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
