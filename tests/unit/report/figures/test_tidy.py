"""Tidy tables of a small run, what pandas users make of them, and what is drawn from them."""

import gzip
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from advprune.base.errors import UserError
from advprune.base.files import read_json, write_json
from advprune.report import records
from advprune.report.figures import draw, source, tidy
from helpers.checkout import ROOT
from helpers.command import advprune
from helpers.finished_runs import make_run
from helpers.report_samples import EPS, SEVERAL, cost, evaluation

METHODS = sorted((ROOT / "config" / "methods").glob("*.yaml"))
LAYERS = {
    "fc": {"units": 10, "removed": 0, "weights": 10, "zeros": 0},
    "layer10.conv": {"units": 20, "removed": 20, "weights": 20, "zeros": 20},
    "layer2.conv": {"units": 40, "removed": 30, "weights": 40, "zeros": 30},
    "conv1": {"units": 8, "removed": 4, "weights": 8, "zeros": 4},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two methods and a dense net on twelve digits, with the tables that the rule makes."""
    root = make_run(tmp_path_factory.mktemp("tidy") / "run", ("dense", "hydra", "lwm"))
    place = root / "digits" / "resnet18"
    for path in place.glob("*/*/*/audit.json"):
        write_json(path, {"layers": LAYERS})
    rows = read_json(place / "evaluations.json")
    for row in rows:
        row["settings"] = {"width": 8}
    write_json(place / "evaluations.json", rows)
    outputs = {"models": "models.csv", "parquet": "models.parquet", "images": "images.csv.gz"}
    outputs |= {"images-parquet": "images.parquet", "curves": "curves.csv"}
    outputs |= {"layers": "layers.csv", "tex": "survey.tex"}
    options = [part for key, name in outputs.items() for part in (f"--{key}", root / name)]
    command = [sys.executable, ROOT / "scripts" / "tidy.py", *options, "--methods", *METHODS]
    command += ["--evaluations", place / "evaluations.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return root


def test_a_row_per_model_and_image_says_what_the_attacks_tables_say(run):
    images, packed = pd.read_parquet(run / "images.parquet"), pd.read_csv(run / "images.csv.gz")
    assert list(images.columns) == tidy.IMAGES == list(packed.columns)
    pd.testing.assert_frame_equal(
        images.assign(broken_by=images["broken_by"].replace("", np.nan)), packed, check_dtype=False
    )
    own = images[images["method"] == "hydra"]
    folder = run / "digits/resnet18/hydra/unstructured-0.9/seed0"
    attacked = pd.read_csv(folder / "autoattack-0.csv")
    assert (own["autoattack_robust"].to_numpy() == attacked["robust"]).all()
    assert own["official_index"].tolist() == list(range(100, 112))
    assert (
        own["hofmn_distance"].tolist() == pd.read_csv(folder / "hofmn-0.csv")["distance"].tolist()
    )
    # the images' mean is the models' number
    models = pd.read_parquet(run / "models.parquet").set_index("method")
    means = images.groupby("method")[["autoattack_robust", "worst_robust"]].mean()
    for method, row in means.iterrows():
        assert models.loc[method, "autoattack_accuracy"] == row["autoattack_robust"]
        assert models.loc[method, "worst_accuracy"] == row["worst_robust"]


def test_equal_tables_have_equal_bytes(run, tmp_path):
    head = (run / "images.csv.gz").read_bytes()[:10]
    assert head[4:8] == b"\0" * 4 and head[3] == 0  # neither time nor name
    assert gzip.decompress((run / "images.csv.gz").read_bytes()).startswith(b"method,dataset,")


def test_layers_are_in_the_nets_order_and_dead_ones_are_said(run):
    layers = pd.read_csv(run / "layers.csv")
    assert list(layers.columns) == tidy.LAYERS
    own = layers[layers["method"] == "hydra"]
    assert own["layer"].tolist() == ["conv1", "layer2.conv", "layer10.conv", "fc"]
    assert own["kept_share"].tolist() == [0.5, 0.25, 0.0, 1.0]
    assert own["dead"].tolist() == [False, False, True, False]


def test_models_have_traits_costs_and_the_leaderboards_columns():
    methods = {"hydra": yaml.safe_load((ROOT / "config/methods/hydra.yaml").read_text())}
    costs = pd.DataFrame([cost() | {"one_compact_ms": 1.5}])
    table = tidy.models(SEVERAL, methods, costs)
    assert list(table.columns) == tidy.MODELS and len(table) == len(SEVERAL)
    chosen = (table["method"] == "hydra") & (table["seed"] == 0) & (table["sparsity"] == 0.9)
    row = table[chosen].iloc[0]
    told = {"name": "HYDRA", "stage": "after", "locality": "L", "criterion": "LIS"}
    assert {key: row[key] for key in told} == told
    assert row["one_compact_ms"] == 1.5 and row["worst_accuracy"] == 0.35
    assert table["one_compact_ms"].notna().sum() == 1


def test_curves_name_their_attack():
    table = tidy.curves([evaluation(worst=0.3)])
    assert list(table.columns) == tidy.CURVES
    assert table[table["attack"] == "hofmn"]["eps"].tolist() == EPS
    at = table[table["attack"] != "hofmn"].set_index("attack")
    assert at["accuracy"].to_dict() == pytest.approx({"autoattack": 0.32, "worst": 0.3})
    assert set(at["eps"]) == {0.2}


def test_the_example_of_the_page_plots_again(run, monkeypatch):
    """Three lines of pandas from docs/files.md, as they stand there."""
    text = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(import pandas.*?)```", text, re.S)
    lines = [line for line in example.splitlines() if line]
    assert len(lines) == 4 and lines[0].startswith("import")
    monkeypatch.chdir(run)
    monkeypatch.setenv("MPLBACKEND", "agg")
    found = {}
    exec(example, found)
    assert len(found["curves"].columns) == 3 and len(found["axes"].lines) == 3


def test_tables_read_back_are_the_rows_they_were_made_of(run):
    tables = source.of_run(run)
    rows = records.records(read_json(run / "digits/resnet18/evaluations.json"))
    by_method = {row["method"]: row for row in tables.rows}
    for row in rows:
        again = by_method[row["method"]]
        assert again["worst_accuracy"] == row["worst_accuracy"]
        assert again["curve"]["accuracy"] == row["curve"]["accuracy"]
        assert again["reliability"] == row["reliability"]
    assert len(tables.layers) == 12 and tables.methods["hydra"]["name"] == "HYDRA"


def test_sections_hold_figures_that_a_page_can_show(run, tmp_path):
    sections = draw.write(source.of_run(run), tmp_path, ("png",))
    assert [section.key for section in sections] == ["ranking", "pruning", "tradeoffs"]
    pictures = [picture for section in sections for picture in section.pictures]
    assert len(pictures) == len(list(tmp_path.glob("*.png"))) == 3
    for picture in pictures:
        assert picture.svg.startswith("<svg ") and "<script" not in picture.svg
        assert picture.alt and picture.caption


def test_the_command_draws_again_in_another_size_and_format(run, tmp_path):
    options = ("--width", "page", "--font", "9", "--format", "svg", "--methods", "hydra")
    done = advprune("figures", run, *options, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.svg")}
    stem = "digits-resnet18-unstructured-0.9.svg"
    assert {"curves.svg", f"curves/{stem}", f"ranking-{stem}", f"layers-{stem}"} <= found
    ranking = (tmp_path / "out" / f"ranking-{stem}").read_text(encoding="utf-8")
    assert re.search(r'width="515(\.\d+)?pt"', ranking) and "HYDRA" in ranking


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--methods", "nobody"), "no method nobody"),
        (("--width", "wide"), "neither column, page nor a number"),
        (("--width", "99"), "from 2 to 20 inches"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(run, tmp_path, options, words):
    done = advprune("figures", run, *options, "--out", tmp_path)
    assert done.returncode == 2 and words in done.stderr


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"neither models\.csv nor leaderboard\.csv"):
        source.of_run(tmp_path)


def test_committed_results_can_be_drawn_from_the_leaderboard_alone():
    tables = source.of_run(ROOT / "results" / "reference" / "demo")
    drawn = {item.kind for item in draw.everything(tables)}
    assert {"ranking", "clean"} <= drawn
