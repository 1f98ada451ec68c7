"""Where the models of a table come from: commit, device, width and dates of their jobs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.files import read_json
from advprune.plan.paths import model_folder
from advprune.report.records import IDENTITY, Identity, Record

AND = "; "  # between values where the jobs of one model do not agree
UNKNOWN = "unknown"
COLUMNS = [*IDENTITY, "width", "commit", "dirty", "device", "threads", "first_date", "last_date"]


def table(evaluations: Sequence[Path]) -> pd.DataFrame:
    """One row per model of the files `evaluations.json`, from the cards beside the models' files.

    `commit` are those of all its jobs, from pretraining to evaluation, `dirty` those of them whose
    code had been changed when a job ran; `device` is a processor with its instruction sets, or a
    GPU. Dates are those of the first and of the last job, in UTC.
    """
    rows = [
        {key: model[key] for key in IDENTITY} | _of_cards(list(_cards(path.parent, model)))
        for path in evaluations
        for model in (evaluation["model"] for evaluation in read_json(path))
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"width": "Int64"})
    return frame.sort_values(IDENTITY).reset_index(drop=True)


def _cards(place: Path, model: Record) -> Iterator[Record]:
    """Cards of a model's jobs; of pretrainings the one that it began with."""
    if folder := model_folder(place, model):
        for path in sorted(folder.glob("*.json")):
            content = read_json(path)
            if isinstance(content, dict) and {"commit", "dirty", "time"} <= content.keys():
                yield content
        pruned = folder / "pruned.json"
        if pruned.is_file():
            start = read_json(pruned).get("parents", {}).get("pretrained")
            nets = map(read_json, place.glob("pretrained/*/seed*[0-9].json"))
            yield from (card for card in nets if card.get("sha256") == start)


def _of_cards(cards: Sequence[Record]) -> Record:
    times = sorted(card["time"][:10] for card in cards)
    widths = [card["net"]["width"] for card in cards if "net" in card]
    return {
        "width": widths[0] if widths else None,
        "commit": _distinct(card["commit"] or UNKNOWN for card in cards),
        "dirty": _distinct(card["commit"] for card in cards if card["dirty"]),
        "device": _distinct(card["device"] for card in cards if "device" in card),
        "threads": _distinct(card["threads"] for card in cards if "threads" in card),
        "first_date": times[0] if times else None,
        "last_date": times[-1] if times else None,
    }


def _distinct(values: Any) -> str:
    return AND.join(sorted(set(map(str, values))))


def by_model(frame: pd.DataFrame) -> dict[Identity, Record]:
    """Rows of the table by identity."""
    return {tuple(row[key] for key in IDENTITY): row for row in frame.to_dict("records")}


def summary(frame: pd.DataFrame) -> str:
    """The table in a line, such as `made by 2 commits, 1 dirty; 2 devices`."""
    found = {name: _named(frame[name]) for name in ("commit", "dirty", "device")}
    unknown = f"{UNKNOWN} code" if found["commit"] == {UNKNOWN} else ""
    commits = unknown or _counted(len(found["commit"] - {UNKNOWN}), "commit")
    commits += " and unknown code" * (not unknown and UNKNOWN in found["commit"])
    dirty = f", {len(found['dirty'])} dirty" * bool(found["dirty"])
    return f"made by {commits}{dirty}; {_counted(len(found['device']), 'device')}"


def _named(column: pd.Series) -> set[str]:
    return {part for text in column.dropna() for part in str(text).split(AND) if part}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
