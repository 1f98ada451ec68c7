"""Why a result is stale: what its card says it was made by, against the code and settings of now.

A card holds the digest of every module behind its job and the job's specification. Results that
have no card (audits, tables, pages) are made again when those above them are.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from advprune.base import imports
from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.base.record import from_dict, to_dict
from advprune.plan import code, specs
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import Verdicts

SPECS = {
    "pretrain": specs.PretrainSpec,
    "prune": specs.PruneSpec,
    "finetune": specs.FinetuneSpec,
    "external": specs.ExternalSpec,
    "autoattack": specs.AutoattackSpec,
    "hofmn_tune": specs.HofmnTuneSpec,
    "hofmn": specs.HofmnSpec,
    "evaluate": specs.EvaluateSpec,
}


def cards(root: Path) -> Iterator[Path]:
    """Cards below a folder, or the card of a file; a file without one is a UserError."""
    if root.is_dir():
        found = (p for p in sorted(root.rglob("*.json")) if not p.name.startswith("."))
        yield from (p for p in found if _is_card(p))
        return
    stem = root.name.split(".")[0]
    for name in (root.name, f"{stem}.card.json", f"{stem}.json"):
        if _is_card(root.with_name(name)):
            yield root.with_name(name)
            return
    raise UserError(f"{root}: has no card; it is made again when what it was made from is")


def _is_card(path: Path) -> bool:
    if path.suffix != ".json" or not path.is_file():
        return False
    content = read_json(path)
    return isinstance(content, dict) and {"script", "code", "spec"} <= content.keys()


def reasons(path: Path, protocol: Protocol | None = None) -> list[str]:
    """What has changed since the job of a card ran; the settings only where a protocol is given."""
    card = read_json(path)
    try:
        kind = SPECS[card["script"]]
    except KeyError:
        raise UserError(f"{path}: no job of this version is called {card['script']}") from None
    spec: object = from_dict(kind, card["spec"], str(path))
    now = imports.code(card["script"], *code.modules(spec))
    found = list(_modules(card["code"], now))
    if protocol is not None:
        found += list(_settings(card["spec"], to_dict(_asked_now(path, card["script"], protocol))))
    return found


def _modules(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Modules behind a job that differ, by their paths."""
    for path in sorted(before.keys() | now.keys()):
        if path not in now:
            yield f"scripts/{path}: no longer used"
        elif path not in before:
            yield f"scripts/{path}: not used before"
        elif before[path] != now[path]:
            yield f"scripts/{path}: changed"


def _settings(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Settings that differ, by their dotted places."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            where = f"{place}.{key}" if place else key
            yield from _settings(before.get(key, "default"), now.get(key, "default"), where)
    elif before != now:
        yield f"{place}: {before} before, {now} now"


def _asked_now(path: Path, script: str, protocol: Protocol) -> Any:
    """Specification that the configuration now gives the job that wrote a card."""
    try:
        *_, dataset, arch, method, target, name = (*path.parent.parts, path.name)
        if method == "pretrained":
            seed = int(name.removeprefix("seed").split(".")[0])
            return protocol.pretrain_of(dataset, arch, target, seed)
        *_, dataset, arch, method, target, folder = path.parent.parts
        model = protocol.grid.find(dataset, arch, method, target, int(folder[len("seed") :]))
    except ValueError:
        raise UserError(f"{path}: not at a place of a run's results") from None
    verdicts = Verdicts(protocol)
    if script in ("autoattack", "hofmn"):
        shard = int(path.name.split(".")[0].rpartition("-")[2])
        return (
            verdicts.autoattack(model, shard)
            if script == "autoattack"
            else verdicts.hofmn(model, shard)
        )
    asked = {
        "prune": protocol.prune,
        "finetune": protocol.finetune,
        "external": lambda m: protocol.convert(m.method),
        "hofmn_tune": verdicts.hofmn_tune,
        "evaluate": verdicts.evaluate,
    }
    return asked[script](model)
