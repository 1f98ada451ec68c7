"""Checkpoints that the methods' authors released: the `released` entry of a configuration.

An index says where each file lies and what it holds; every file becomes a row beside the grid's.
Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.structures import STRUCTURED, STRUCTURES
from advprune.plan.checks import sparsity_text
from advprune.plan.grid import Model
from advprune.plan.methods import known_methods
from advprune.plan.paths import DOWNLOADS
from advprune.plan.specs import COUNTED, Published
from advprune.plan.variants import RELEASED, base

ROOT = Path(__file__).resolve().parents[3]
URL = "https://drive.google.com/uc?id={id}"
INDEX, LOCK = "config/released/index.csv", "config/released/lock.csv"
PUBLISHED = ROOT / "config" / "published" / "leaderboard.csv"
COLUMNS = {"key", "method", "dataset", "arch", "net", "structure", "sparsity", "counted"}
COLUMNS |= {"file_id", "file_name"}


@dataclass(frozen=True)
class Released:
    """A released file and what is known of it before it is read.

    `arch` is the net's name in its authors' table, `net` an entry of the configuration's `archs`.
    `sparsity` is the removed share as text; `counted` says how its authors count it: one of
    `specs.COUNTED`. `path` is where the file is once it is fetched.
    """

    key: str
    method: str
    dataset: str
    arch: str
    net: str
    structure: str
    sparsity: str
    counted: str
    file_id: str
    file_name: str
    path: str
    published: Published | None

    def model(self, dataset: str) -> Model:
        """Its row, attacked as a dataset of the configuration says; there is one seed."""
        place = (dataset, self.net, RELEASED + self.method, self.structure)
        return Model(*place, self.sparsity, 0)


def rows(config: Mapping[str, Any]) -> dict[Model, Released]:
    """The rows that the configuration asks for, in the order of the index."""
    asked = config.get("released")
    if asked is None:
        return {}
    known = index(config)
    keys = list(known) if asked["keys"] == "all" else asked["keys"]
    found: dict[Model, Released] = {}
    for key in keys:
        if key not in known:
            raise UserError(f"config: released.keys: '{key}' is not in {place(asked, 'index')}")
        item = known[key]
        for dataset in asked.get("datasets", [item.dataset]):
            _check(item, dataset, config)
            if (other := found.setdefault(item.model(dataset), item)) != item:
                raise UserError(f"config: released: {other.key} and {key} are one row")
    return found


def index(config: Mapping[str, Any]) -> dict[str, Released]:
    """Every file of the index by its key."""
    path = place(config["released"], "index")
    published = _published()
    lines = list(_table(path, COLUMNS))
    found = {
        line["key"]: _item(line, config, published, f"{path}: {line['key']}") for line in lines
    }
    for column in ("key", "file_name"):
        if len({line[column] for line in lines}) < len(lines):
            raise UserError(f"{path}: a {column} stands in it twice")
    return found


def lock(config: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the files that were fetched before, by key; without a lock file nothing."""
    path = place(config["released"], "lock")
    if not path.exists():
        return {}
    return {line["key"]: line["sha256"] for line in _table(path, {"key", "sha256"})}


def place(asked: Mapping[str, Any], what: str) -> Path:
    """The index or the lock file: from where Snakemake runs, else from the checkout."""
    name = asked.get(what, {"index": INDEX, "lock": LOCK}[what])
    return Path(name) if Path(name).exists() else ROOT / name


def check_root(config: Mapping[str, Any]) -> None:
    """Refuse a folder of local copies that is none; files that it lacks become rows."""
    root = config.get("released_root")
    if root is not None and not Path(root).is_dir():
        raise UserError(f"config: released_root: {root}: no such folder")


def is_there(fetched: Mapping[str, Any], item: Released) -> bool:
    """Whether a file that was fetched (`scripts/fetch.py`) is still where the run looks for it."""
    there = Path(item.path)
    return bool(fetched["available"]) and Path(fetched["path"]) == there and there.is_file()


def _item(
    line: Mapping[str, str], config: Mapping[str, Any], published: Mapping[Any, Published], at: str
) -> Released:
    for column in ("key", "file_name"):  # both are names of files
        if not re.fullmatch(r"\w[\w.-]*", line[column]):
            raise UserError(f"{at}: {column} '{line[column]}' is no plain name")
    words = {"method": known_methods(), "structure": STRUCTURES, "counted": COUNTED}
    for column, known in words.items():
        if line[column] not in known:
            raise UserError(f"{at}: {column} '{line[column]}' (known: {', '.join(known)})")
    try:
        share = float(line["sparsity"])
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise UserError(f"{at}: sparsity '{line['sparsity']}' is no share between 0 and 1")
    kind = "structured" if line["structure"] in STRUCTURED else line["structure"]
    place = (line["dataset"], line["arch"], line["method"], kind, round(100 * share, 6))
    folder = config.get("released_root") or DOWNLOADS
    return Released(
        **{key: line[key] for key in COLUMNS - {"sparsity"}},
        sparsity=sparsity_text(share, at),
        path=f"{folder}/{line['file_name']}",
        published=published.get(place),
    )


def _published() -> dict[Any, Published]:
    """What was published, by dataset, net, method, kind of structure and sparsity in %."""
    wanted = {"dataset", "arch", "method", "structure", "sparsity_percent", "eps", "test_images"}
    found = {}
    for line in _table(PUBLISHED, wanted | {"clean_accuracy", "autoattack_accuracy"}):
        own = tuple(line[k] for k in ("dataset", "arch", "method", "structure"))
        numbers = [line[f"{kind}_accuracy"] for kind in ("clean", "autoattack")]
        if all(numbers):
            clean, robust = (round(float(number) / 100, 6) for number in numbers)
            told = Published(clean, robust, float(line["eps"]), int(line["test_images"]))
            found[*own, float(line["sparsity_percent"])] = told
    return found


def _table(path: Path, wanted: set[str]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if lacking := sorted(wanted - set(reader.fieldnames or [])):
                raise UserError(f"{path}: lacks the column {lacking[0]}")
            yield from reader
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _check(item: Released, dataset: str, config: Mapping[str, Any]) -> None:
    """Refuse what contradicts the rest of the configuration."""
    where = f"config: released: {item.key}"
    for kind, name in (("datasets", dataset), ("archs", item.net)):
        if name not in config[kind]:
            raise UserError(f"{where}: '{name}' is not described under {kind}")
    if (own := base(config, "dataset", dataset)) != item.dataset:
        raise UserError(f"{where}: is for {item.dataset}, not for {own}")
