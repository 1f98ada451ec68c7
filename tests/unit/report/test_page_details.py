"""What a page tells of a model beyond its evaluation, read from the folders of a run."""

import json

import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.base.files import write_json, write_text
from advprune.report import records
from advprune.report.page import data, details, document, site
from advprune.report.page.content import Content
from helpers.report_samples import METHODS, dense, evaluation

EPOCHS = """2026-11-26 12:17:14,576 INFO    finetune on cpu with 1 thread(s)
2026-11-26 12:17:16,709 INFO    finetune  epoch 1/2  loss 0.6748  val_clean 0.86  val_pgd 0.62
2026-11-26 12:17:17,724 INFO    finetune  epoch 2/2  loss nan  val_clean 0.94  kept 1  val_pgd 0.74
2026-11-26 12:17:18,724 INFO    finetune: resumed after epoch 1 of 2
2026-11-26 12:17:19,724 INFO    finetune  epoch 2/2  loss 0.62  val_clean 0.95  val_pgd 0.75
"""
IDENTITY = ("hydra", "digits", "resnet18", "unstructured", 0.9, 0)
PLACE = "digits/resnet18/hydra/unstructured-0.90/seed0"
CARD = {"script": "finetune", "time": "2026-11-26T12:00:00+00:00", "commit": "c", "sha256": "1"}


@pytest.fixture
def run(tmp_path):
    """A run of one pruned net and its dense one."""
    root, logs = tmp_path / "results/tiny", tmp_path / "logs/tiny"
    setting, folder = root / "digits/resnet18", root / PLACE
    write_json(setting / "evaluations.json", [evaluation(), dense()])
    layer = {"removed": 9, "units": 10, "zeros": 90, "weights": 100}
    write_json(folder / "audit.json", {"layers": {"conv": layer, "fc": layer}})
    write_json(folder / "checkpoint.json", CARD | {"epochs": {"finetune": 2}, "best": {}})
    write_json(folder / "pruned.json", CARD | {"script": "prune", "parents": {"pretrained": "p"}})
    history = [{"epoch": 1, "loss": 2.0568219, "val_clean": 0.7, "val_pgd": 0.3}]
    start = CARD | {"sha256": "p", "history": history}
    write_json(setting / "pretrained/pgd-1/seed0.json", start)
    write_text(logs / "finetune" / f"{PLACE}.log", EPOCHS)
    write_text(root / "leaderboard.csv", "method\n")
    write_text(root / "curves/a.pdf", "pdf")
    ice = dict(zip(records.IDENTITY, IDENTITY, strict=True))
    ice |= {"robust_before": 5, "lost": 2, "gained": 1, "thin_ice_auc": None}
    (root / "thin_ice").mkdir()
    pd.DataFrame([ice]).to_csv(root / "thin_ice/t.csv", index=False)
    return root


def found(run):
    files = [run / "digits/resnet18/evaluations.json"]
    return details.read(files, run.parents[1] / "logs/tiny")


def test_layers_cards_and_histories_are_found(run):
    read = found(run)
    model = read.models[IDENTITY]
    assert read.logs == "logs/tiny"  # and no place on this machine
    assert read.nets == [["conv", "fc"]] and model["layers"]["removed"] == [9, 9]
    assert [card["script"] for card in model["cards"]] == ["finetune", "prune"]
    assert model["folder"] == PLACE and model["logs"] == ["finetune"]
    assert read.histories[model["pretrained"]]["loss"] == [2.057]
    assert model["history"]["finetune"] == {
        "epoch": [1, 2],
        "loss": [0.6748, 0.62],
        "val_clean": [0.86, 0.95],
        "val_pgd": [0.62, 0.75],
    }


def test_a_single_evaluation_leads_to_the_same_folder(run):
    write_json(run / PLACE / "evaluation.json", evaluation())
    read = details.read([run / PLACE / "evaluation.json"], run.parents[1] / "logs/tiny")
    assert read.models[IDENTITY]["layers"] == found(run).models[IDENTITY]["layers"]


def test_what_is_not_there_is_left_out(tmp_path):
    write_json(tmp_path / "digits/resnet18/evaluations.json", [evaluation()])
    (tmp_path / PLACE).mkdir(parents=True)
    write_text(tmp_path / PLACE / "audit.json", "{broken")
    read = details.read([tmp_path / "digits/resnet18/evaluations.json"], tmp_path / "none")
    model = read.models[IDENTITY]
    assert "layers" not in model and model["history"] == {} and model["cards"] == []


def test_a_site_is_a_folder_with_a_file_per_model(run, tmp_path):
    files, out = [run / "digits/resnet18/evaluations.json"], tmp_path / "out"
    assert site.write(run, out, files, run.parents[1] / "logs/tiny", METHODS) == 2
    assert {"index.html", "models", "leaderboard.csv", "curves", "thin_ice"} == {
        path.name for path in out.iterdir()
    }
    rows = [evaluation(), dense()]
    place = data.order(Content(rows, METHODS, "")).index(IDENTITY)
    model = json.loads((out / f"models/{place}.json").read_text(encoding="utf-8"))
    assert model["thin_ice"]["lost"] == 2 and model["layers"]["units"] == [10, 10]
    assert '"folder":"models"' in (out / "index.html").read_text(encoding="utf-8")
    assert json.loads((out / f"models/{1 - place}.json").read_text(encoding="utf-8")) is None


def test_a_site_replaces_a_site_and_nothing_else(run, tmp_path):
    files, out = [run / "digits/resnet18/evaluations.json"], tmp_path / "out"
    logs = run.parents[1] / "logs/tiny"
    site.write(run, out, files, logs, METHODS)
    write_text(out / "old.csv", "")
    site.write(run, out, files, logs, METHODS)
    assert not (out / "old.csv").exists()
    write_text(tmp_path / "mine/thesis.tex", "")
    with pytest.raises(UserError, match="not an earlier site"):
        site.write(run, tmp_path / "mine", files, logs, METHODS)


def test_details_are_in_the_page_as_long_as_there_are_few(run, monkeypatch):
    content = Content([evaluation(), dense()], METHODS, "demo", details=found(run))
    assert '"removed":[9,9]' in document.render(content)
    monkeypatch.setattr(document, "MOST_DETAILS", 1)
    assert '"removed":[9,9]' not in document.render(content)
