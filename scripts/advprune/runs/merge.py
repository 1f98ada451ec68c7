"""Two or more runs of different models in one leaderboard, if they can be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.base.files import write_json, write_text
from advprune.evaluation.comparable import described, differing
from advprune.plan.config import read_yaml
from advprune.report import paired, records, tables
from advprune.report.page import document
from advprune.report.page.content import Content
from advprune.report.records import IDENTITY, Record
from advprune.runs.models import Model, listed

PUBLISHED = "each method's own"


@dataclass(frozen=True)
class Run:
    """A run to be joined: its name, its models and, where it was kept, its configuration."""

    name: str
    models: Mapping[tuple[Any, ...], Model]
    configuration: Mapping[str, Any] | None = None


def joined(runs: Sequence[Run]) -> list[Model]:
    """All models of the runs, which must be disjoint and comparable: else a UserError.

    Compared are, per dataset and net, radius, norm, images, attacks, width and budget; and of one
    method in several runs, as its seeds may be, the whole training.
    """
    found: dict[tuple[Any, ...], Model] = {}
    for run in runs:
        if both := sorted(found.keys() & run.models.keys(), key=str):
            raise UserError(f"{run.name} has models of another run: {listed(both)}")
        found |= run.models
    every = sorted(found.values(), key=lambda model: str(model.identity))
    for place, members in _grouped(every, lambda model: model.setting):
        _refuse(place, differing(map(judged, members)) | differing(_budgets(runs, place)))
    for identity, seeds in _grouped(every, lambda model: (*model.setting, *model.identity[:-1])):
        _refuse(identity[:3], differing(trained(model) for model in seeds))
    return every


def write(models: Sequence[Model], out: Path, methods: Mapping[str, Record], title: str) -> None:
    """Write the joined leaderboard, with the origin of every row, page, comparison, evaluations."""
    evaluations = [model.evaluation for model in models]
    board = tables.leaderboard(evaluations)
    tables.write_csv(board, out / "leaderboard.csv")
    tables.write_csv(with_origins(board, models), out / "origins.csv")
    known = records.known(methods, evaluations)
    files = ("leaderboard.csv", "origins.csv", "comparison.csv")
    document.write(out / "leaderboard.html", Content(evaluations, known, title, files=files))
    compared = paired.compare(evaluations)
    tables.write_csv(compared, out / "comparison.csv")
    write_text(out / "comparison.md", paired.markdown(compared, records.names(known)))
    for (dataset, arch), members in _grouped(models, lambda model: model.setting):
        gathered = [model.evaluation for model in members]
        write_json(out / dataset / arch / "evaluations.json", gathered)


def with_origins(board: pd.DataFrame, models: Sequence[Model]) -> pd.DataFrame:
    """Identity, accuracies and status of every row, and where its numbers come from."""
    origins = {model.identity: model.origin for model in models}
    shown = board[[*IDENTITY, "clean_accuracy", "worst_accuracy", "status"]]
    rows = [origins[tuple(row)] for row in shown[IDENTITY].itertuples(index=False)]
    return pd.concat([shown, pd.DataFrame(rows)], axis=1)


def judged(model: Model) -> dict[str, Any]:
    """What a model was asked: the specification of its evaluation, images, norm and width."""
    card = model.cards.get("evaluation.card.json")
    if card is None:
        raise UserError(f"{model.folder}: no card of the evaluation; nothing says what was asked")
    spec, width = dict(card["spec"]), model.net.get("net", {}).get("width")
    attacks = [c for c in model.cards.values() if c["script"] in ("autoattack", "hofmn")]
    seen = {c["parents"].get("data") for c in attacks}
    known = {"images": model.evaluation["images"], "norm": model.evaluation["threat"]["norm"]}
    return spec | known | {"width": width, "test_images": sorted(map(str, seen))}


def trained(model: Model) -> dict[str, Any]:
    """How a model was trained: the specifications in the cards of its nets."""
    scripts = ("prune", "finetune", "external")
    return {c["script"]: c["spec"] for c in model.cards.values() if c["script"] in scripts}


def _budgets(runs: Sequence[Run], place: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Budget of every run at a dataset and net.

    That of the configurations, where all runs kept theirs. Otherwise the epochs that all trained
    models of a run have in common; where they have none, each method has its own.
    """
    kept = all(run.configuration is not None for run in runs)
    for run in runs:
        members = [model for model in run.models.values() if model.setting == place]
        epochs = {(m.evaluation.get("training") or {}).get("epochs") for m in members} - {None}
        if not epochs:
            continue
        if kept:
            yield {"budget": (run.configuration or {}).get("budget")}
        else:
            yield {"budget": f"{epochs.pop()} epochs" if len(epochs) == 1 else PUBLISHED}


def configuration(run: Path) -> Mapping[str, Any] | None:
    """Configuration that a run kept beside its results, None of runs of older versions."""
    path = run / "configuration.yaml"
    content = read_yaml(path) if path.exists() else None
    if not isinstance(content, dict | None):
        raise UserError(f"{path}: not a configuration")
    return content


def _grouped(models: Sequence[Model], key: Any) -> Iterator[tuple[Any, list[Model]]]:
    for value, members in groupby(sorted(models, key=key), key=key):
        yield value, list(members)


def _refuse(place: tuple[str, ...], fields: Mapping[str, Sequence[Any]]) -> None:
    if fields:
        raise UserError(f"{', '.join(place)}: not comparable ({described(fields)})")
