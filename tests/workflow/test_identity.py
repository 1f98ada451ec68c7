"""Results are known by their cards: not by a path, a time stamp, or Snakemake's memory."""

import json
import os
import random
import shutil

import pytest

from advprune.identity.results import Results
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from helpers.checkout import Checkout, tiny_config
from helpers.command import advprune

# one worker: the finished run is made once and shared
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
MODEL = "results/tiny/digits/resnet18/hydra/unstructured-0.8/seed0"
PAGES = {"gather", "table", "compare", "curves", "origins", "thin_ice", "leaderboard"}
PAGES |= {"best_known", "agreement", "survey"}
PAGES |= {"tidy", "overlap", "figures"}


@pytest.fixture
def checkout(finished, tmp_path):
    return finished.copy(tmp_path / "copy")


def rules(planned):
    return {rule for rule, _ in planned}


def other_steps():
    config = tiny_config()
    config["evaluation"]["hofmn"]["steps"] = 6
    return config


def planned_from(checkout, cwd, *arguments):
    """What would run, of a Snakefile named in some way."""
    there = Checkout.__new__(Checkout)
    there.folder = cwd
    plain = there.snakemake
    configured = ("--configfile", str(checkout.folder / "tiny.yaml"))
    there.snakemake = lambda *more: plain(*more, *arguments, *configured)
    (cwd / "tiny.yaml").write_bytes((checkout.folder / "tiny.yaml").read_bytes())
    return there.planned()


def test_the_results_with_cards_are_those_of_the_rules(finished):
    """What the plan compares with cards, and what Snakemake makes, are the same files."""
    results = list(Results(Protocol(load_config(tiny_config()))))
    made = {}
    for line in finished.snakemake("--summary").stdout.splitlines():
        name, *_, rule = [*line.split("\t")[:3], ""][:3]
        made.setdefault(rule, set()).add(name)
    for result in results:
        assert {*result.files} <= made[result.script], result.script
        assert all((finished.folder / f).exists() for f in (result.card, *result.inputs.values()))
        card = json.loads((finished.folder / result.card).read_text(encoding="utf-8"))
        assert card["script"] == result.script
        assert set(card["parents"]) == set(result.inputs) - {"net"}
    judged = {f for result in results for f in (*result.files, result.card)}
    for rule, names in made.items():
        assert rule in PAGES | {"output_file", "rule", ""} or names <= judged, rule


def test_no_way_to_a_checkout_makes_anything_stale(checkout, tmp_path):
    link, away = tmp_path / "home", tmp_path / "my {x} folder"
    link.symlink_to(checkout.folder)
    snakefile = ("-s", str(link / "workflow/Snakefile"))
    assert planned_from(checkout, checkout.folder, *snakefile) == set()
    assert planned_from(checkout, link) == set()
    checkout.folder = checkout.folder.rename(away)
    assert checkout.planned() == set()


def test_results_in_another_folder_survive_a_move_of_the_code(checkout, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for part in ("results", ".snakemake"):
        shutil.move(checkout.folder / part, run / part)
    code = checkout.folder.rename(tmp_path / "moved {code}")
    checkout.folder = run
    checkout.configure(tiny_config())
    assert planned_from(checkout, run, "-s", str(code / "workflow/Snakefile")) == set()


def test_results_alone_are_taken_over_and_their_pages_made_again(finished, tmp_path):
    """Copied with time stamps in any order, seconds apart."""
    fresh = Checkout(tmp_path / "fresh", tiny_config())
    shutil.copytree(finished.folder / "results", fresh.folder / "results")
    files = sorted(p for p in fresh.folder.glob("results/**/*") if p.is_file())
    random.Random(0).shuffle(files)
    for i, path in enumerate(files):
        os.utime(path, (1_700_000_000 + 60 * i,) * 2)
    assert rules(fresh.planned()) <= PAGES
    assert "unknown to Snakemake, kept" in fresh.snakemake("-n").stderr
    fresh.change("scripts/advprune/pruning/masks.py")
    assert {"prune", "finetune"} <= rules(fresh.planned())
    assert "made by other code, planned again" in fresh.snakemake("-n").stderr


def test_other_settings_are_seen_without_snakemakes_records(checkout):
    shutil.rmtree(checkout.folder / ".snakemake")
    checkout.configure(other_steps())
    said = checkout.snakemake("-n").stderr
    assert "results of other settings, planned again (" in said
    assert "steps: 5 before, 6 now" in said
    planned = rules(checkout.planned())
    assert planned >= {"hofmn", "reliability", "evaluate"}
    assert not planned & {"pretrain", "prune", "finetune", "autoattack"}
    # only what is asked for
    target = f"{MODEL}/audit.json"
    assert "Nothing to be done" in checkout.snakemake("-n", target).stderr


def test_files_that_were_put_over_recorded_ones_are_judged_by_their_cards(checkout):
    path = checkout.folder / MODEL / "hofmn-0.card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["spec"]["steps"] = 500
    path.write_text(json.dumps(card), encoding="utf-8")
    assert ("hofmn", f"{MODEL}/hofmn-0.csv") in checkout.planned()


def test_touch_accepts_results_of_other_settings(checkout):
    checkout.configure(other_steps())
    done = advprune("verify", "results/tiny", "--configfile", "tiny.yaml", root=checkout.folder)
    assert done.returncode == 1
    assert "hofmn-0.csv: is of other settings than the configuration's: steps: 5" in done.stdout
    checkout.snakemake("--touch", "--cores", "1")
    assert checkout.planned() == set()
    shutil.rmtree(checkout.folder / ".snakemake")
    assert rules(checkout.planned()) <= PAGES
    assert "of other settings, kept as accepted" in checkout.snakemake("-n").stderr
    done = advprune("verify", "results/tiny", "--configfile", "tiny.yaml", root=checkout.folder)
    assert done.returncode == 0, done.stdout


def test_an_error_while_comparing_ends_the_plan(checkout):
    (checkout.folder / "results/tiny/accepted.json").write_text("broken", encoding="utf-8")
    done = checkout.snakemake("-n", check=False)
    assert done.returncode != 0 and "accepted.json: not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
