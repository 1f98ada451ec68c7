"""What figures are drawn from: the tables of a run, read back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from advprune.base.errors import UserError
from advprune.report.figures.tidy import CURVES, LAYERS, POINT
from advprune.report.records import IDENTITY, STRUCTURES, Record

NEEDED = [*IDENTITY, "status", "worst_accuracy", "worst_low", "worst_high", "eps", "eps_text"]
TEXTS = ("name", "stage", "variant_of", "reliability", "reason", "warnings", "marks", "eps_text")


@dataclass(frozen=True, eq=False)
class Tables:
    """The rows of models (as `report.records` has them), and the tables of layers and overlaps.

    `methods` has key, name and stage of every method by key. Layers and overlaps may be empty.
    """

    rows: list[Record]
    methods: dict[str, Record]
    layers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=LAYERS))
    overlap: pd.DataFrame = field(default_factory=pd.DataFrame)


def read(
    models: Path, curves: Path | None, layers: Path | None, overlaps: Sequence[Path]
) -> Tables:
    """Read tables that are there; one that is damaged, or of something else, is a UserError."""
    frame = _read(models, NEEDED)
    for key in TEXTS:
        frame[key] = frame[key].fillna("").astype(str) if key in frame else ""
    rows = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    if unknown := {row["structure"] for row in rows} - set(STRUCTURES):
        raise UserError(f"{models}: unknown structure '{min(unknown)}'")
    if curves is not None:
        _attach(rows, _read(curves, CURVES))
    methods = {
        row["method"]: {"key": row["method"], "name": row["name"] or row["method"]}
        | {"stage": row["stage"]}
        for row in rows
    }
    found = [_read(path, ["method", "other", "jaccard"]) for path in overlaps]
    found = [table for table in found if len(table)]
    return Tables(
        rows,
        methods,
        _read(layers, LAYERS) if layers is not None else pd.DataFrame(columns=LAYERS),
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(),
    )


def note(folder: Path) -> str:
    """What stands above figures of a run that is not complete, whose tables these are."""
    about = folder / "README.md"
    if not (folder / "unfinished.csv").is_file() or not about.is_file():
        return ""
    return about.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def of_run(folder: Path) -> Tables:
    """Tables of a run's folder; `leaderboard.csv` is enough, the rest is used where it is there."""
    names = ("models.csv", "leaderboard.csv")
    models = next((folder / n for n in names if (folder / n).is_file()), None)
    if models is None:
        raise UserError(f"{folder}: has neither models.csv nor leaderboard.csv")
    optional = (folder / "curves.csv", folder / "layers.csv")
    curves, layers = (path if path.is_file() else None for path in optional)
    return read(models, curves, layers, sorted(folder.glob("*/*/overlap.csv")))


def _attach(rows: list[Record], table: pd.DataFrame) -> None:
    """Give every row its curve."""
    own = table[table["attack"] == "hofmn"]
    found = {
        identity: {"eps": part["eps"].tolist()} | {key: part[key].tolist() for key in POINT}
        for identity, part in own.groupby(IDENTITY, sort=False)
    }
    for row in rows:
        row["curve"] = found.get(tuple(row[key] for key in IDENTITY))


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype={"eps_text": str})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise UserError(f"{path}: damaged table ({error})") from None
    if lacking := [column for column in columns if column not in frame]:
        raise UserError(f"{path}: not such a table (lacks {lacking[0]})")
    return frame
