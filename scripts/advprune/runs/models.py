"""The evaluated models of a run, wherever it is: a folder of results, or an archive of one."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.report.records import IDENTITY, Identity, Record, describe
from advprune.runs import archive

EVALUATIONS = "*/*/*/*/seed*/evaluation.json"
MANY = "; "  # between values where the jobs of one model do not agree


@dataclass(frozen=True, eq=False)
class Model:
    """One evaluated model: its folder, the name of its run, its evaluation, its cards by name."""

    run: str
    folder: Path
    evaluation: Record
    cards: Mapping[str, Record]

    @property
    def identity(self) -> Identity:
        """Values of `IDENTITY`, by which a table knows the model."""
        return tuple(self.evaluation["model"][key] for key in IDENTITY)

    @property
    def setting(self) -> tuple[str, str]:
        """Dataset and net: what is compared with each other."""
        return self.evaluation["model"]["dataset"], self.evaluation["model"]["arch"]

    @property
    def net(self) -> Record:
        """Card of the evaluated net."""
        return self.cards.get("checkpoint.json", {})

    @cached_property
    def origin(self) -> dict[str, str]:
        """Where the numbers come from: of every column all values that the model's cards name.

        `code` is a digest of all modules behind the model's jobs: equal digests, equal code.
        """
        names = ("platform", "device", "threads", "commit", "dirty", "torch", "python")
        texts = {name: self._of_cards(name) for name in names}
        modules = sorted({item for card in self.cards.values() for item in card["code"].items()})
        digest = hashlib.sha256(json.dumps(modules).encode()).hexdigest()[:12]
        times = sorted(card["time"] for card in self.cards.values() if "time" in card)
        return {"run": self.run} | texts | {"code": digest, "time": times[-1] if times else ""}

    def _of_cards(self, name: str) -> str:
        values = {str(card[name]) for card in self.cards.values() if card.get(name) is not None}
        return MANY.join(sorted(values))


@contextlib.contextmanager
def opened(place: Path) -> Iterator[tuple[str, Path]]:
    """(name, folder) of a run; an archive is checked, and unpacked while it is looked at."""
    if place.is_dir():
        yield place.resolve().name, place
        return
    with tempfile.TemporaryDirectory(prefix="advprune-") as folder:
        yield archive.unpack(place, Path(folder)), Path(folder)


def models(name: str, run: Path) -> dict[Identity, Model]:
    """Every evaluated model of a run's folder; none at all is a UserError."""
    found = {}
    for path in sorted(run.glob(EVALUATIONS)):
        evaluation = read_json(path)
        try:
            model = Model(name, path.parent, evaluation, _cards(path.parent))
            _ = evaluation["images"], evaluation["threat"]["norm"], evaluation["threat"]["eps"]
            found[model.identity] = model
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}: not an evaluation (lacks {error})") from None
    if not found:
        raise UserError(f"{run}: no evaluations")
    return found


def listed(identities: Iterable[Identity], most: int = 3) -> str:
    """Name some models and say how many more there are."""
    names = [describe(identity) for identity in identities]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more


def _cards(folder: Path) -> dict[str, Record]:
    """Cards in a model's folder, by the names of their files."""
    contents: dict[str, Any] = {
        path.name: read_json(path) for path in sorted(folder.glob("*.json"))
    }
    return {name: content for name, content in contents.items() if _is_card(content)}


def _is_card(content: Any) -> bool:
    tables = ("code", "spec", "parents")
    return isinstance(content, dict) and all(isinstance(content.get(k), dict) for k in tables)
