"""Partial tables: of what is there, with what failed and what is missing."""

import pandas as pd
import pytest

from advprune.plan.methods import method_file
from advprune.report import records
from advprune.report.figures import curves, source
from advprune.report.figures.canvas import Options
from advprune.watch.partial import refresh
from helpers.run_samples import AT, Site

HOSTILE = "a | b, <i>c</i> & $d_e$ % \\ {f}"
METHODS = ["dense", {"lwm": ["filters"]}, "hydra", "li20"]
NUMBERS = ["clean_accuracy", "autoattack_accuracy", "worst_accuracy"]


@pytest.fixture
def site(tmp_path):
    (block,) = Site(tmp_path / "whole").run.protocol.config["grid"]
    return Site(tmp_path, grid=[block | {"methods": METHODS}])


def fail(site, model, step, text=HOSTILE):
    site.do_until(model, step)
    site.log(site.task(model, step), f"{AT} ERROR   {text}\n")


def test_they_hold_what_is_there_what_failed_and_what_is_missing(site):
    for method in ("dense", "hydra"):
        site.do_until(site.model(method))
    fail(site, site.model("lwm"), "hofmn")
    folder = refresh(site.state())
    table = pd.read_csv(folder / "leaderboard.csv").set_index("method")
    assert sorted(table.index) == ["dense", "hydra", "lwm"]
    assert table.loc[["dense", "hydra"], NUMBERS].notna().all(axis=None)
    assert table.loc["lwm", NUMBERS].isna().all()
    log = site.task(site.model("lwm"), "hofmn").log
    assert table.loc["lwm", "status"] == "failed"
    assert table.loc["lwm", "reason"] == f"hofmn: {HOSTILE} ({log})"
    left = pd.read_csv(folder / "unfinished.csv").set_index("method")
    assert dict(left["state"]) == {"lwm": "failed", "li20": "waiting"}
    assert left.loc["lwm", "log"] == log and left.loc["li20", "step"] == "prune"
    page = (folder / "leaderboard.html").read_text(encoding="utf-8")
    assert "<title>Partial: " in page and "2 of 4 models evaluated, 1 failed, 1 not done" in page
    assert "a | b, &lt;i&gt;c&lt;/i&gt; &amp; $d_e$" in page and log in page
    assert "Partial, " in (folder / "comparison.md").read_text(encoding="utf-8")
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list((folder / "curves").glob("*.pdf"))) == 1
    assert len(pd.read_csv(folder / "costs.csv")) == 2


def test_every_answer_and_figure_of_them_says_that_it_is_partial(site, tmp_path):
    for method in ("dense", "hydra"):
        site.do_until(site.model(method))
    fail(site, site.model("lwm"), "hofmn")
    folder = refresh(site.state())
    words = source.note(folder)
    assert words.startswith("Partial, ") and "2 of 4 models evaluated, 1 failed" in words
    page = (folder / "leaderboard.html").read_text(encoding="utf-8")
    for key in ("survey", "ranking", "best_known", "agreement", "pruning", "tradeoffs"):
        section = page.partition(f'<section id="{key}">')[2].partition("</section>")[0]
        assert section.count(words) == 1 + section.count("<figcaption>"), key
    (drawn,) = sorted((folder / "curves").glob("*.png"))
    known = records.load_methods(map(method_file, ("dense", "hydra", "li20", "lwm")))
    tasks = [site.task(site.model(method), "evaluate") for method in ("dense", "hydra")]
    rows = records.records(records.load(site.run.path(task.files[0]) for task in tasks))
    for note, same in ((words, True), ("", False)):
        curves.write_groups(rows, known, tmp_path, Options(note=note), ["png", "svg"])
        assert ((tmp_path / drawn.name).read_bytes() == drawn.read_bytes()) == same
        svg = (tmp_path / drawn.with_suffix(".svg").name).read_text(encoding="utf-8")
        assert ("Partial, " in svg) == same  # in several lines
    assert source.note(folder.parent) == ""


def test_a_run_in_which_everything_failed_has_a_page_of_failures(site):
    for model in site.models:
        fail(site, model, "prune")
    folder = refresh(site.state())
    assert set(pd.read_csv(folder / "leaderboard.csv")["status"]) == {"failed"}
    page = (folder / "leaderboard.html").read_text(encoding="utf-8")
    assert "0 of 4 models evaluated, 4 failed" in page and "No curves were given" in page


def test_a_model_whose_costs_failed_has_its_numbers(site):
    for model in site.models:
        site.do_until(model)
    fail(site, site.model("hydra"), "costs")
    (site.run.path(site.task(site.model("hydra"), "costs").files[0])).unlink()
    folder = refresh(site.state())
    table = pd.read_csv(folder / "leaderboard.csv").set_index("method")
    assert table["worst_accuracy"].notna().all() and "failed" not in set(table["status"])
    assert list(pd.read_csv(folder / "unfinished.csv")["step"]) == ["costs"]
    assert "hydra" not in set(pd.read_csv(folder / "costs.csv")["method"])


def test_nothing_is_written_of_nothing(site):
    assert refresh(site.state()) is None
    assert not (site.run.folder / "partial").exists()


def test_they_are_replaced_and_go_when_the_whole_tables_are_there(site):
    fail(site, site.model("dense"), "prune")
    folder = refresh(site.state())
    (folder / "old.csv").touch()
    assert refresh(site.state()) == folder and not (folder / "old.csv").exists()
    for model in site.models:
        site.do_until(model)
    assert refresh(site.state()) == folder  # every model is done, but not the whole table
    (site.run.folder / "leaderboard.csv").touch()
    assert refresh(site.state()) is None and not folder.exists()
    assert not list(site.run.folder.glob(".partial-*"))


def test_a_damaged_evaluation_costs_its_own_row_only(site):
    site.do_until(site.model("dense"))
    damages = {"hydra": "{", "li20": "[]", "lwm": '{"model": 1}'}
    for method, content in damages.items():
        site.do_until(site.model(method))
        bad = site.run.path(site.task(site.model(method), "evaluate").files[0])
        bad.write_text(content, encoding="utf-8")
    table = pd.read_csv(refresh(site.state()) / "leaderboard.csv").set_index("method")
    assert dict(table["status"]) == {"dense": "ok"} | dict.fromkeys(damages, "failed")
    assert table.loc[list(damages), "reason"].str.startswith("evaluate: ").all()


def test_a_damaged_finding_is_left_out_of_its_table(site):
    site.do_until(site.model("dense"))
    site.do_until(site.model("hydra"))
    costs = site.run.path(site.task(site.model("hydra"), "costs").files[0])
    costs.write_text("{", encoding="utf-8")
    assert list(pd.read_csv(refresh(site.state()) / "costs.csv")["method"]) == ["dense"]
