"""Which of a file's tables is the net's state dict, and its tensors' names. Without torch."""

import re
from collections.abc import Mapping

from advprune.base.errors import UserError
from advprune.models.foreign.outline import Outline, Way, described
from advprune.models.foreign.pickles import TensorInfo

Table = Mapping[str, TensorInfo]
Tables = Mapping[Way, Table]

# of DataParallel, compile, containers, and R-ADMM's net within a net
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "basic_model.")
PARTS = {  # what stands beside weights and changes them: names of such tensors, and of such tables
    "masks": (r"^masks?\.|(^|[._])masks?$", r"(^|_)masks?(_|$)"),
    "scores": (r"^scores?\.|(^|[._])(popup_?)?scores?$", r"(^|_)scores?(_|$)"),
}
CHANNELS = 4  # images have at most so many, and their moments as many numbers
TRAINING = re.compile(r"optim|sched|scaler", re.IGNORECASE)  # tables of no net


def role(way: Way, table: Table) -> str:
    """What a table of tensors is: "net", "masks", "scores", or "other"."""
    if any(TRAINING.match(key) for key in way):
        return "other"
    for part, (name, of_table) in PARTS.items():
        if way and re.search(of_table, way[-1], re.IGNORECASE):
            return part
        if table and all(re.search(name, n) for n in table):
            return part
    if table and all(tensor.dtype == "bool" for tensor in table.values()):
        return "masks"
    large = [t for t in table.values() if len(t.shape) > 1 and t.numel > CHANNELS]
    return "net" if len(large) > 1 else "other"


def nets(tables: Tables) -> list[Way]:
    """Ways to state dicts; one that lies under two names counts once."""
    found: list[Way] = []
    for way, table in tables.items():
        if role(way, table) == "net" and all(table != tables[other] for other in found):
            found.append(way)
    return found


def choose(outline: Outline, tables: Tables, key: str | None) -> tuple[Way, dict[str, Way]]:
    """Way to the state dict, and its tensors' ways by their names without common prefixes.

    A UserError where there is none, or several and no `key` to say which.
    """
    if key is not None:
        return _at(outline, tables, key)
    found = nets(tables)
    if len(found) > 1:
        known = " and ".join(f"'{'.'.join(way)}' ({len(tables[way])} tensors)" for way in found)
        raise UserError(f"holds {len(found)} state dicts, {known}: say which one by key")
    if not found:
        found = [way for way, table in tables.items() if role(way, table) == "other"][:1]
    if not found or TRAINING.match((*found[0], "")[0]):
        raise UserError(f"holds no state_dict; it holds {described(outline.content)}")
    return found[0], stripped({name: (*found[0], name) for name in tables[found[0]]})


def _at(outline: Outline, tables: Tables, key: str) -> tuple[Way, dict[str, Way]]:
    """The state dict at a place, or the part of one whose names begin with the place's rest."""
    if len(several := [way for way in tables if ".".join(way) == key]) > 1:
        raise UserError(f"holds {len(several)} state dicts at key '{key}', for a name has a dot")
    for way, table in tables.items():
        place = ".".join(way)
        if place == key:
            return way, stripped({name: (*way, name) for name in table})
        start = f"{place}." if place else ""
        if key.startswith(start):
            prefix = key.removeprefix(start) + "."
            names = {n.removeprefix(prefix): (*way, n) for n in table if n.startswith(prefix)}
            if names:
                return way, stripped(names)
    raise UserError(f"holds no state dict at key '{key}'; it holds {described(outline.content)}")


def stripped(names: dict[str, Way]) -> dict[str, Way]:
    """Take off prefixes that all names have, however many."""
    return [names, *stages(names)][-1]


def stages(names: dict[str, Way]) -> list[dict[str, Way]]:
    """The names with one common prefix less each time, as long as there are any."""
    for prefix in PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            fewer = {n.removeprefix(prefix): way for n, way in names.items()}
            return [fewer, *stages(fewer)]
    return []


def renamed(
    names: Mapping[str, Way], rename: Mapping[str, str | None]
) -> tuple[dict[str, Way], dict[str, Way]]:
    """Tensors by their new names, and by their old ones those that are left out.

    `rename` are regular expressions and what replaces them; None leaves a tensor out. Two tensors
    with one new name are a UserError.
    """
    kept: dict[str, Way] = {}
    old: dict[str, str] = {}
    dropped: dict[str, Way] = {}
    for name, way in names.items():
        new: str | None = name
        for pattern, replacement in rename.items():
            if new is not None and re.search(pattern, new):
                new = None if replacement is None else re.sub(pattern, replacement, new)
        if new is None:
            dropped[name] = way
        elif new in kept:
            raise UserError(f"rename makes one name, {new}, of {old[new]} and {name}")
        else:
            kept[new], old[new] = way, name
    return kept, dropped
