"""Cards on disk, and what they say against what is asked."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.base.provenance import sha256

Card = dict[str, Any]


def read(path: str | Path) -> Card | None:
    """Content of a card; None of what is none, damaged or gone."""
    try:
        content = read_json(path)
    except UserError:
        return None
    wanted = {"script": str, "code": dict, "spec": dict}
    is_card = isinstance(content, dict) and all(
        isinstance(content.get(key), kind) for key, kind in wanted.items()
    )
    return content if is_card else None


def differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Settings that differ between two specifications as JSON, by their dotted places."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            where = f"{place}.{key}" if place else key
            yield from differences(before.get(key, "default"), now.get(key, "default"), where)
    elif before != now:
        yield f"{place}: {before} before, {now} now"


def card_of(file: str | Path) -> Path:
    """Where the card of a file is, if it has one."""
    file = Path(file)
    beside = file.with_suffix(".card.json")
    return file.with_suffix(".json") if _is_net(file) and not beside.is_file() else beside


def _is_net(file: Path) -> bool:
    return file.suffix == ".safetensors"


@cache
def said_hash(file: str | Path) -> str | None:
    """SHA-256 of a file as its card says, without reading the file; its own where it has no card.

    A file may have been tidied away and leave its card. None of one that has neither.
    """
    card = read(card_of(file))
    known = card and card.get("sha256")
    if isinstance(known, str):
        return known
    return sha256(file) if Path(file).is_file() else None
