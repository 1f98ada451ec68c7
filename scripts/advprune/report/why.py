"""Why a result is stale: what its card says it was made by, against the code and settings of now.

A card holds the digest of every module behind its job and the job's specification. Results that
have no card (tables, pages) are made again when those above them are.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.base.record import from_dict, to_dict
from advprune.identity.cards import differences
from advprune.identity.results import Result, Results
from advprune.plan import code, specs
from advprune.plan.protocol import Protocol

SPECS = {
    "dataset": specs.DataSpec,
    "corrupt": specs.CorruptSpec,
    "check_net": specs.CheckNetSpec,
    "pretrain": specs.PretrainSpec,
    "prune": specs.PruneSpec,
    "finetune": specs.FinetuneSpec,
    "external": specs.ExternalSpec,
    "autoattack": specs.AutoattackSpec,
    "hofmn_tune": specs.HofmnTuneSpec,
    "hofmn": specs.HofmnSpec,
    "audit": specs.AuditSpec,
    "pgd": specs.PgdSpec,
    "reliability": specs.ReliabilitySpec,
    "other_attacks": specs.OtherAttacksSpec,
    "corruptions": specs.CorruptionsSpec,
    "costs": specs.CostsSpec,
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


def reasons(path: Path, results: Mapping[str, Result] | None = None) -> list[str]:
    """What has changed since the job of a card ran; the settings only where `results` are given."""
    card = read_json(path)
    try:
        kind = SPECS[card["script"]]
    except KeyError:
        raise UserError(f"{path}: no job of this version is called {card['script']}") from None
    spec: object = from_dict(kind, card["spec"], str(path))
    found = list(_modules(card["code"], code.behind(card["script"], spec)))
    if results is not None:
        found += list(differences(card["spec"], to_dict(_asked_now(path, results))))
    return found


def by_place(protocol: Protocol) -> Mapping[str, Result]:
    """Results of a configuration by their cards, below the run's folder."""
    return {
        "/".join(Path(file).parts[2:]): result
        for result in Results(protocol)
        for file in (result.card, *result.files)
        if file.endswith(".json")
    }


def _asked_now(path: Path, results: Mapping[str, Result]) -> Any:
    """Specification that the configuration now gives the job that wrote a card."""
    parts = path.absolute().parts
    for i in range(len(parts)):
        if result := results.get("/".join(parts[i:])):
            return result.asked()
    raise UserError(f"{path}: the configuration asks for no such result")


def _modules(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Modules behind a job that differ, by their paths."""
    for path in sorted(before.keys() | now.keys()):
        if path not in now:
            yield f"scripts/{path}: no longer used"
        elif path not in before:
            yield f"scripts/{path}: not used before"
        elif before[path] != now[path]:
            yield f"scripts/{path}: changed"
