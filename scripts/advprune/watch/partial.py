"""Tables, figures and page of a run that is not complete, in a folder of their own.

They are made of the evaluations that are there, by the functions that make the whole ones. What
failed is a row of its own, what is only not done yet is named.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.base.files import read_json, write_text
from advprune.evaluation.evaluate import without_numbers
from advprune.plan.methods import method_file
from advprune.plan.paths import Layout
from advprune.report import costs, findings, paired, records, tables
from advprune.report.figures import canvas, curves, tidy
from advprune.report.figures.canvas import Options
from advprune.report.page import details, document
from advprune.report.page.content import Content, Partial
from advprune.report.records import IDENTITY, Identity, Record
from advprune.watch import sections
from advprune.watch.place import Run
from advprune.watch.state import DONE, FAILED, Failure, Row, State

UNFINISHED = [*IDENTITY, "state", "step", "reason", "log"]


def refresh(state: State) -> Path | None:
    """Write the partial tables anew and return their folder; None where there is nothing to show.

    The folder is replaced as a whole. It goes once every model is done and the whole table is
    there.
    """
    run = state.run
    folder = run.path(run.layout.partial)
    whole = state.complete and run.path(run.layout.summary("leaderboard.csv")).exists()
    if whole or not any(row.evaluated or row.failure or row.absent for row in state.rows):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    with tempfile.TemporaryDirectory(dir=run.folder, prefix=".partial-") as place:
        made = Path(place) / "partial"
        _write(state, made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return folder


def _write(state: State, folder: Path) -> None:
    run, found = state.run, [_checked(state, row) for row in state.rows]
    unfinished = [row for row in found if row.state != DONE]
    evaluated = [_read(run, row, "evaluations") for row in found if row.evaluated]
    rows = evaluated + [failed(run, row) for row in found if row.failure and not row.evaluated]
    rows += [_read(run, row, "unavailable") for row in found if row.absent]
    variants = {variant.key for variant in run.protocol.methods.values()}
    methods = records.known(records.load_methods(map(method_file, variants)), rows)
    words = summary(found)
    write_text(folder / "README.md", _readme(words, unfinished))
    tables.write_csv(_unfinished(unfinished), folder / "unfinished.csv")
    tables.write_csv(tables.leaderboard(rows), folder / "leaderboard.csv")
    measured = _findings(state, folder)
    if evaluated:
        compared = paired.compare(evaluated)
        tables.write_csv(compared, folder / "comparison.csv")
        text = paired.markdown(compared, records.names(methods))
        write_text(folder / "comparison.md", f"**{words}**\n\n{text}")
        shown, options = records.records(evaluated), Options(note=words)
        overview = curves.overview(shown, methods, options)
        for kind in ("pdf", "png"):
            canvas.save(overview, folder / f"curves.{kind}")
        curves.write_groups(shown, methods, folder / "curves", options)
        _tidy(state, evaluated, methods, folder)
    folders = [run.path(_name(run, row, "evaluations")) for row in found if row.evaluated]
    others = [row for found in _of_models(state, "other_attacks") for row in found]
    content = Content(
        rows,
        methods,
        run.layout.preset,
        costs=measured,
        details=details.read(folders, run.logs),
        sections=sections.made(folder, evaluated, methods, others, words) if evaluated else [],
        files=[path.name for path in folder.iterdir()],
        partial=Partial(words, [_named(row) for row in unfinished]),
    )
    document.write(folder / "leaderboard.html", content)


def summary(rows: Sequence[Row]) -> str:
    """What is there: "Partial, 26 Nov 2026 09:40: 9 of 12 models evaluated, 3 failed"."""
    done, broken = sum(r.evaluated for r in rows), sum(r.state == FAILED for r in rows)
    parts = [f"{done} of {len(rows)} models evaluated"]
    parts += [f"{broken} failed"] if broken else []
    if missing := sum(row.absent for row in rows):
        parts.append(f"{missing} not available")
    if waiting := sum(not r.evaluated and r.state != FAILED and not r.absent for r in rows):
        parts.append(f"{waiting} not done yet")
    return f"Partial, {time.strftime('%d %b %Y %H:%M')}: {', '.join(parts)}"


def _checked(state: State, row: Row) -> Row:
    """The row, failed if its evaluation is no such file: that costs no other row."""
    if not row.evaluated:
        return row
    task = next(task for task in state.chains[row.model] if task.script == "evaluate")
    try:
        records.load([state.run.path(task.files[0])])
    except UserError as error:
        return Row(row.model, FAILED, "evaluate", False, Failure(task, str(error)))
    return row


def failed(run: Run, row: Row) -> Record:
    """A failed model as an evaluation without numbers; its reason names job and log."""
    return without_numbers(run.verdicts.unavailable(row.model), FAILED, str(row.failure))


def _read(run: Run, row: Row, kind: str) -> Any:
    return read_json(run.path(_name(run, row, kind)))


def _name(run: Run, row: Row, kind: str) -> str:
    return run.layout.of_model(Layout.finding(kind)).format(**row.model.wildcards)


def _findings(state: State, folder: Path) -> dict[Identity, Record]:
    """Tables of what was found besides, and the costs for the page; none without any."""
    for kind, table in findings.TABLES.items():
        if found := _of_models(state, kind.removesuffix("_means")):
            tables.write_csv(table(found), folder / f"{kind}.csv")
    there = (folder / "costs.csv").exists()
    return costs.load(folder / "costs.csv") if there else {}


def _of_models(state: State, kind: str) -> list[Any]:
    """What was found of that kind so far, of every model."""
    found = []
    for row in state.rows:
        try:
            found.append(_read(state.run, row, kind))
        except UserError:  # not there yet, or not asked for
            continue
    return found


def _tidy(
    state: State, evaluated: Sequence[Record], methods: Mapping[str, Record], folder: Path
) -> None:
    """The tables that figures are drawn from."""
    costs_file = folder / "costs.csv"
    measured = pd.read_csv(costs_file) if costs_file.exists() else None
    tables.write_csv(tidy.models(evaluated, methods, measured), folder / "models.csv")
    tables.write_csv(tidy.curves(evaluated), folder / "curves.csv")
    layers = [_layers(state.run, evaluation) for evaluation in evaluated]
    tables.write_csv(pd.concat(layers, ignore_index=True), folder / "layers.csv")


def _layers(run: Run, evaluation: Record) -> pd.DataFrame:
    """Layers of one model; none if its audit is damaged."""
    model = evaluation["model"]
    place = run.folder / model["dataset"] / model["arch"]
    try:
        return tidy.layers({place: [evaluation]})
    except (UserError, KeyError, TypeError):
        return tidy.layers({})


def _named(row: Row) -> Record:
    """A model that is not done, as the page shows it."""
    identity = _identity(row)
    text = records.describe(identity[key] for key in IDENTITY)
    why, log = (row.failure.reason, row.failure.task.log) if row.failure else ("", "")
    return identity | {
        "name": text,
        "state": row.state,
        "step": row.failure.task.script if row.failure else row.step,
        "reason": why,
        "log": log,
    }


def _identity(row: Row) -> Record:
    own = {key: getattr(row.model, key) for key in IDENTITY}
    return own | {"sparsity": float(row.model.sparsity)}


def _unfinished(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame([_named(row) for row in rows], columns=UNFINISHED)


def _readme(words: str, unfinished: Sequence[Row]) -> str:
    """What the folder is, for whoever opens it."""
    lines = []
    for entry in map(_named, unfinished):
        why = f": {entry['reason']} ({entry['log']})" if entry["log"] else ""
        lines.append(f"{entry['name']}: {entry['state']}, {entry['step']}{why}")
    head = "Tables of the models that are there; they go when the whole ones are made.\n"
    listed = "".join(f"    {line}\n" for line in lines)  # indented: nothing in it is Markdown
    return f"# {words}\n\n{head}\n{listed}"
