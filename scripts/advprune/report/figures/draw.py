"""All figures of a run beside its curves, and the sections of the page that they stand in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from advprune.report.answers.section import Grid, Picture, Section
from advprune.report.figures import layers, ranking, tradeoffs
from advprune.report.figures.canvas import DEFAULT, Options, save, stem, svg
from advprune.report.figures.source import Tables
from advprune.report.records import full_title, groups

SHOWN = 12  # figures of one kind on the page: those of the sparsest groups
TITLES = {
    "ranking": "Ranking at a glance",
    "pruning": "Where methods prune",
    "tradeoffs": "Trade-offs",
}
TEXTS = {
    "ranking": "Every method of a group with its uncertainty and with what each attack alone says.",
    "pruning": "How much methods keep of each layer, how far their masks agree, and whether either "
    "goes with robustness.",
    "tradeoffs": "What robustness costs: weights, accuracy on clean images, time and training.",
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure: name of its file, the kind and section that it belongs to, and what it shows."""

    name: str
    kind: str
    section: str
    figure: Figure
    alt: str
    caption: str


def everything(
    tables: Tables, options: Options = DEFAULT, most: int | None = None
) -> Iterator[Drawn]:
    """Draw one figure after the other; those that the tables have nothing for are left out.

    With `most` only the last groups, at most so many, have figures of their own.
    """
    rows, methods = tables.rows, tables.methods
    pruned = {g: m for g, m in groups(rows).items() if g[2] != "none"}
    pruned = dict(list(pruned.items())[-most:]) if most else pruned
    for group, members in (pruned or groups(rows)).items():
        drawn = ranking.figure(group, members, methods, options)
        title, name = full_title(group), stem(*group)
        alt = f"Ranking of methods, {title}"
        yield Drawn(f"ranking-{name}", "ranking", "ranking", drawn, alt, ranking.CAPTION)
    for group, members in pruned.items():
        title, name = full_title(group), stem(*group)
        heat = layers.heat_map(group, members, tables.layers, methods, options)
        if heat is not None:
            alt = f"Heat map of kept shares, methods by layers, {title}"
            yield Drawn(f"layers-{name}", "layers", "pruning", heat, alt, layers.CAPTION)
        both = layers.overlap_map(group, members, tables.overlap, methods, options)
        if both is not None:
            alt = f"Heat map of overlaps, methods by methods, {title}"
            told = layers.OVERLAP_CAPTION
            yield Drawn(f"overlap-{name}", "overlap", "pruning", both, alt, told)
    yield from _tradeoffs(tables, options)


def _tradeoffs(tables: Tables, options: Options) -> Iterator[Drawn]:
    rows, methods, captions = tables.rows, tables.methods, tradeoffs.CAPTIONS
    section = "tradeoffs"
    sparsity = tradeoffs.sparsity_figure(rows, methods, options)
    if sparsity is not None:
        alt = "Worst case against sparsity, a line per method"
        yield Drawn("sparsity", "sparsity", section, sparsity, alt, captions["sparsity"])
    for setting in sorted({(row["dataset"], row["arch"]) for row in rows}):
        own = [row for row in rows if (row["dataset"], row["arch"]) == setting]
        place = ", ".join(setting)
        clean = tradeoffs.clean_figure(own, methods, options)
        if clean is not None:
            alt = f"Worst case against clean accuracy, {place}"
            yield Drawn(f"clean-{stem(*setting)}", "clean", section, clean, alt, captions["clean"])
        cost = tradeoffs.cost_figure(setting, rows, methods, options)
        if cost is not None:
            alt = f"Worst case against costs, {place}"
            yield Drawn(f"cost-{stem(*setting)}", "cost", section, cost, alt, captions["cost"])


def write(
    tables: Tables, folder: Path, formats: Sequence[str], options: Options = DEFAULT
) -> list[Section]:
    """Write every figure in `folder` and return the sections, with the figures as SVG."""
    pictures: dict[str, list[tuple[str, Picture]]] = {key: [] for key in TITLES}
    folder.mkdir(parents=True, exist_ok=True)
    for drawn in everything(tables, options):
        for suffix in formats:
            save(drawn.figure, folder / f"{drawn.name}.{suffix}")
        pictures[drawn.section].append((drawn.kind, _picture(drawn)))
    return [_section(key, pictures[key], tables) for key in TITLES]


def sections(tables: Tables, options: Options = DEFAULT) -> list[Section]:
    """The sections without any file, of no more groups than they show."""
    pictures: dict[str, list[tuple[str, Picture]]] = {key: [] for key in TITLES}
    for drawn in everything(tables, options, SHOWN):
        pictures[drawn.section].append((drawn.kind, _picture(drawn)))
    return [_section(key, pictures[key], tables) for key in TITLES]


def _picture(drawn: Drawn) -> Picture:
    return Picture(svg(drawn.figure), drawn.alt, drawn.caption)


def _section(key: str, found: Sequence[tuple[str, Picture]], tables: Tables) -> Section:
    shown, text = [], [TEXTS[key]]
    for kind in dict.fromkeys(kind for kind, _ in found):
        own = [picture for k, picture in found if k == kind]
        shown += own[-SHOWN:]
        if len(own) > SHOWN:
            text.append(
                f"{kind}: {SHOWN} of {len(own)} figures are shown here; "
                "all of them are in the run's folder figures."
            )
    if not found:
        text.append("Nothing is known of it in this run.")
    grids = _explained(tables) if key == "pruning" else []
    return Section(key, TITLES[key], text, shown, grids)


def _explained(tables: Tables) -> list[Grid]:
    """What kept shares say of robustness, as a table; none where there are too few methods."""
    rows = []
    for group, members in groups(tables.rows).items():
        if group[2] == "none" or not len(tables.layers):
            continue
        for found in layers.explained(layers.traits(group, members, tables.layers)):
            trait = layers.TRAITS[found["trait"]]
            rho = f"{found['rho']:+.2f}"
            p = "< 0.001" if found["p"] < 0.001 else f"{found['p']:.3f}"
            rows.append([full_title(group), trait, str(found["methods"]), rho, p])
    header = ["Group", "Kept shares", "Methods", "Spearman's rho", "p (Holm)"]
    caption = (
        "How far a trait of the kept shares orders methods as the worst case does: rho is 1 if "
        "more of it always goes with more robustness, −1 if with less, 0 if it says nothing. "
        "Methods are the units, p is adjusted within a group. What goes together need not be a "
        f"cause. Groups of fewer than {layers.FEWEST} methods are left out."
    )
    return [Grid(header, rows, caption)] if rows else []
