"""What a model's folder and logs tell of it beyond its evaluation: layers, training, cards.

Histories of pretrainings are in their cards. Of other trainings only the logs have every epoch, so
where a log is gone, as in an unpacked archive, the history is too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.report.figures.tidy import in_order
from advprune.report.records import IDENTITY, Identity, Record

FIGURES = ("loss", "val_clean", "val_pgd")
LAYER = ("removed", "units", "zeros", "weights")
STEPS = ("prune", "finetune", "external")  # whose logs are read
CARD = ("script", "commit", "dirty", "time", "seconds", "device", "sha256")
THIN_ICE = ("robust_before", "lost", "gained", "thin_ice_auc")
EPOCH = re.compile(r" INFO +(?P<phase>\S+)  epoch (?P<epoch>\d+)/\d+  (?P<figures>.*)$")

History = dict[str, list[float | None]]  # `epoch` and `FIGURES`, a number per epoch


@dataclass
class Details:
    """Details by identity; layers and pretrainings that models share are told once.

    `models` holds `layers` (counts by `LAYER`, in the order of `nets[net]`), `history` by phase,
    `best` by phase, `pretrained` (a key of `histories`), `cards`, `folder` (below that of the run)
    and `logs`, the steps whose logs are there, below the folder `Details.logs`.
    """

    models: dict[Identity, Record] = field(default_factory=dict)
    nets: list[list[str]] = field(default_factory=list)
    histories: dict[str, History] = field(default_factory=dict)
    logs: str = ""


def read(evaluations: Iterable[Path], logs: Path) -> Details:
    """Details of all models of files `evaluations.json` (or `evaluation.json`) of a run.

    `logs` is the run's folder of logs, and told from the checkout on: pages travel. What is not
    there, or no such file, is left out: the page can do without.
    """
    found, starts = Details(logs="/".join(logs.parts[-2:])), dict[Path, dict[str, Record]]()
    for path in evaluations:
        content = _json(path)
        gathered = isinstance(content, list)
        place = path.parent if gathered else path.parents[3]
        if place not in starts:
            starts[place] = _pretrained(place, found)
        for evaluation in content if gathered else [content]:
            if model := (evaluation or {}).get("model"):
                identity = tuple(model[key] for key in IDENTITY)
                for folder in folders(place, model):
                    found.models[identity] = _of_model(folder, logs, starts[place], found)
    return found


def add_thin_ice(found: Details, tables: Iterable[Path]) -> None:
    """Add to every model its row of the run's tables thin_ice/<target>.csv."""
    for path in tables:
        for row in pd.read_csv(path).to_dict("records"):
            identity = tuple(row[key] for key in IDENTITY)
            if identity in found.models:
                kept = {key: None if row[key] != row[key] else row[key] for key in THIN_ICE}
                found.models[identity]["thin_ice"] = kept


def folders(place: Path, model: Mapping[str, Any]) -> list[Path]:
    """The model's folder below that of its dataset and net; a list of none or one."""
    seeds = place.glob(f"{model['method']}/{model['structure']}-*/seed{model['seed']}")
    return [f for f in seeds if _sparsity(f) == float(model["sparsity"])]


def _sparsity(folder: Path) -> float | None:
    try:
        return float(folder.parent.name.rpartition("-")[2])
    except ValueError:
        return None


def _pretrained(place: Path, found: Details) -> dict[str, Record]:
    """Cards of pretrainings by the hash of their nets; their histories go into `found`."""
    cards = {}
    for path in sorted(place.glob("pretrained/*/seed*[0-9].json")):
        card = _json(path) or {}
        key = "/".join(path.with_suffix("").parts[-5:])
        if history := columns(card.get("history") or []):
            found.histories[key] = history
        cards[card.get("sha256", "")] = card | {"key": key}
    return cards


def _of_model(folder: Path, logs: Path, pretrained: Mapping[str, Record], found: Details) -> Record:
    checkpoint, pruned = (_json(folder / f"{n}.json") or {} for n in ("checkpoint", "pruned"))
    start = pretrained.get((pruned.get("parents") or {}).get("pretrained", ""), {})
    name = "/".join(folder.parts[-5:])
    written = [(step, logs / step / f"{name}.log") for step in STEPS]
    there = [(step, path) for step, path in written if path.is_file()]
    history = [item for _, path in there for item in histories(path).items()]
    return {
        "folder": name,
        "logs": [step for step, _ in there],
        "pretrained": start.get("key"),
        "history": dict(history),
        "best": checkpoint.get("best") or {},
        "epochs": checkpoint.get("epochs") or {},
        "cards": list(_cards(folder)),
        "thin_ice": None,
        **layers_of(_json(folder / "audit.json") or {}, found),
    }


def layers_of(audit: Mapping[str, Any], found: Details) -> Record:
    """Place of the net's layer names in `found.nets`, and counts per layer; nothing without any."""
    layers = audit.get("layers") or {}
    if not layers:
        return {}
    names = sorted(layers, key=in_order)
    if names not in found.nets:
        found.nets.append(names)
    return {
        "net": found.nets.index(names),
        "layers": {key: [layers[n].get(key) for n in names] for key in LAYER},
    }


def _cards(folder: Path) -> Iterable[Record]:
    """Cards of the model's jobs, by the time they ended; of several shards each."""
    cards = [_json(path) for path in sorted(folder.glob("*.json")) if path.name != "last.json"]
    known = [card for card in cards if isinstance(card, dict) and {"script", "time"} <= card.keys()]
    for card in sorted(known, key=lambda card: str(card["time"])):
        yield {key: card.get(key) for key in CARD}


def histories(log: Path) -> dict[str, History]:
    """Figures of every epoch by phase, as a job's log has them; of repeated epochs the last."""
    phases: dict[str, dict[int, dict[str, float]]] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := EPOCH.search(line):
            record: dict[str, float] = {"epoch": int(match["epoch"])}
            for pair in match["figures"].split("  "):
                key, _, value = pair.partition(" ")
                if key in FIGURES:
                    record[key] = float(value)
            phases.setdefault(match["phase"], {})[int(match["epoch"])] = record
    return {phase: columns([found[e] for e in sorted(found)]) for phase, found in phases.items()}


def columns(history: Iterable[Mapping[str, Any]]) -> History:
    """Epochs as columns, in four digits: more are not seen in a curve."""
    rows = list(history)
    columns = {key: [_rounded(row.get(key)) for row in rows] for key in ("epoch", *FIGURES)}
    return {key: column for key, column in columns.items() if any(v is not None for v in column)}


def _rounded(value: Any) -> float | None:
    # what is not finite has no place in JSON, nor in a curve
    return float(f"{value:.4g}") if isinstance(value, int | float) and abs(value) < 1e30 else None


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (UserError, OSError):
        return None
