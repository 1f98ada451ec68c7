"""Results on disk are held against what a configuration asks for."""

import copy
import os
from pathlib import Path

import pytest

from advprune.base.files import read_json, write_json
from advprune.base.provenance import sha256
from advprune.base.record import to_dict
from advprune.identity import cards, judge
from advprune.identity.results import Results
from advprune.plan import code
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from helpers.checkout import tiny_config

MODEL = "results/tiny/digits/resnet18/hydra/unstructured-0.8/seed0"


def asked(change=lambda config: None):
    config = copy.deepcopy(tiny_config())
    config["grid"][0]["methods"] = ["dense", "hydra"]
    change(config)
    return Results(Protocol(load_config(config)))


def radius(config):
    config["datasets"]["digits"]["eps"] = "1/4"


def steps(config):
    config["evaluation"]["hofmn"]["steps"] = 7


def reliability(config):
    config["evaluation"]["reliability"] = {"images": 4}


def limit(config):
    config["datasets"]["digits"]["limits"]["test"] = 9


def learning_rate(config):
    config["overrides"] = {"hydra": {"recipes": {"prune": {"lr": 0.01}}}}


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """Files and cards of a whole run, as its jobs would have left them, without having run."""
    monkeypatch.chdir(tmp_path)
    cards.said_hash.cache_clear()
    for result in asked():
        for name in result.files:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(name, encoding="utf-8")
        spec = result.asked()
        parents = {r: cards.said_hash(f) for r, f in result.inputs.items() if r != "net"}
        content = {"script": result.script, "spec": to_dict(spec), "parents": parents}
        content |= {"code": dict(code.behind(result.script, spec))}
        write_json(result.card, content | {"sha256": sha256(result.files[0])})
    cards.said_hash.cache_clear()
    return tmp_path


def judged(results=None, recorded=lambda name: True, accepted=None):
    return judge.judge(results or asked(), recorded, accepted or {})


def scripts(results):
    return {result.script for result in results}


def nothing(name):
    return False


def test_what_is_asked_for_says_nothing():
    found = judged()
    assert found.again == [] and list(found.lines()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (steps, {"hofmn", "reliability", "evaluate"}),
        (reliability, {"reliability"}),
        (limit, {"dataset"}),
        (learning_rate, {"prune", "finetune"}),
    ],
)
def test_results_of_other_settings_are_found_and_no_others(change, expected):
    found = judged(asked(change))
    if change is learning_rate:  # of the masks alone: the final training has a recipe of its own
        expected = {"prune"}
    if change is limit:  # the number of images is in no attack's specification
        assert [r.files[0] for r in found.settings] == ["results/tiny/digits/test.safetensors"]
    assert scripts(found.settings) == expected
    assert {r.card for r in found.settings} <= {str(p) for p in Path("results").rglob("*.json")}


def test_the_line_names_count_field_values_and_files():
    (line,) = judged(asked(radius)).lines()
    assert line.startswith("18 results of other settings, planned again (")
    assert "threat.eps: 0.5 before, 0.25 now: 6x" in line and line.endswith(" and 15 more")
    (line,) = judged(asked(radius)).lines(accepting=True)
    assert "18 results of other settings, accepted with all that is named (" in line


def test_files_that_are_planned_again_are_those_of_the_rule():
    again = judged(asked(learning_rate)).again
    assert again == [f"{MODEL}/pruned.safetensors", f"{MODEL}/pruned.json"]


@pytest.mark.parametrize("change", [radius, steps, learning_rate])
def test_another_setting_is_seen_whether_snakemake_knows_the_file_or_not(change):
    known, unknown = judged(asked(change)), judged(asked(change), nothing)
    assert {r.card for r in known.settings} == {r.card for r in unknown.settings}


def test_unknown_results_are_taken_over_if_their_cards_agree():
    found = judged(recorded=nothing)
    assert len(found.taken) == len(list(asked())) and not found.again
    assert "unknown to Snakemake, kept" in next(found.lines())


def test_unknown_results_of_other_code_are_planned_again():
    path = Path(f"{MODEL}/pgd.card.json")
    card = read_json(path)
    write_json(path, card | {"code": card["code"] | {"pgd.py": "other"}})
    assert judged().again == []  # Snakemake has a record, and judges by it
    found = judged(recorded=nothing)
    assert found.again == [f"{MODEL}/pgd.json"]
    assert any("made by other code" in line for line in found.lines())


def test_unknown_results_of_another_parent_are_planned_again():
    write_json(f"{MODEL}/checkpoint.json", read_json(f"{MODEL}/checkpoint.json") | {"sha256": "0"})
    found = judged(recorded=nothing)
    assert set(found.unrecorded.values()) == {"made from other files"}
    attacked = {"autoattack", "hofmn_tune", "hofmn", "pgd", "reliability", "costs", "audit"}
    assert scripts(found.unrecorded) == attacked | {"evaluate"}
    assert all(MODEL in result.card for result in found.unrecorded)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"spec": 1}', "\0", '{"code": {}}'])
def test_a_card_that_cannot_be_read_is_said_and_costs_nothing(text):
    Path(f"{MODEL}/pruned.json").write_text(text, encoding="utf-8")
    found = judged()
    assert [r.script for r in found.untold] == ["prune"] and not found.again
    assert "of unknown settings" in next(found.lines())


def test_a_result_without_a_card_is_said_only_where_snakemake_does_not_know_it():
    Path(f"{MODEL}/audit.card.json").unlink()
    assert not list(judged().lines())
    assert [r.script for r in judged(recorded=nothing).untold] == ["audit"]


def test_a_file_that_is_gone_is_no_matter():
    Path(f"{MODEL}/pruned.safetensors").unlink()
    assert "prune" not in scripts(judged(asked(learning_rate)).settings)


def test_what_was_accepted_is_kept_until_another_setting_changes():
    path = Path("results/tiny") / judge.ACCEPTED
    judge.accept(path, judged(asked(steps)), asked(steps), [])
    accepted = judge.read_accepted(path)
    found = judged(asked(steps), accepted=accepted)
    assert not found.again and scripts(found.accepted) == {"hofmn", "reliability", "evaluate"}
    assert "kept as accepted" in next(found.lines())

    def more_steps(config):
        config["evaluation"]["hofmn"]["steps"] = 8

    assert scripts(judged(asked(more_steps), accepted=accepted).settings) == scripts(found.accepted)


def test_a_named_file_is_accepted_with_what_it_is_made_from():
    path = Path("results/tiny") / judge.ACCEPTED
    judge.accept(path, judged(asked(radius)), asked(radius), [f"{MODEL}/pruned.safetensors"])
    cards_ = set(judge.read_accepted(path))
    assert f"{MODEL}/pruned.json" in cards_ and f"{MODEL}/checkpoint.json" not in cards_
    assert len(cards_) == 2 and any("/pretrained/" in card for card in cards_)


def test_copied_files_become_no_older_than_what_they_were_made_from():
    """Copying sets time stamps in any order."""
    results = list(asked())
    for i, result in enumerate(results):
        for name in (*result.files, result.card):
            os.utime(name, (10_000 - i, 10_000 - i))
    judge.take_over(results)
    for result in results:
        newest = max((os.stat(f).st_mtime for f in result.inputs.values()), default=0)
        assert newest <= min(os.stat(f).st_mtime for f in (*result.files, result.card))


def test_benchmarks_are_those_of_the_rules():
    found = {result.files[0].removeprefix("results/tiny/"): result.benchmark for result in asked()}
    model = "digits/resnet18/hydra/unstructured-0.8/seed0"
    start = next(name for name in found if "/pretrained/" in name).split("/")[3]
    wanted = {
        "digits/train.safetensors": "dataset/digits-train",
        "digits/resnet18/net.json": "check_net/digits/resnet18",
        f"digits/resnet18/pretrained/{start}/seed0.safetensors": (
            f"pretrain/digits/resnet18/{start}/seed0"
        ),
        f"{model}/pruned.safetensors": f"prune/{model}",
        f"{model}/checkpoint.safetensors": f"finetune/{model}",
        f"{model}/autoattack-1.csv": f"autoattack/{model}-1",
        f"{model}/hofmn.json": f"hofmn_tune/{model}",
        f"{model}/hofmn-0.csv": f"hofmn/{model}-0",
        f"{model}/evaluation.json": f"evaluate/{model}",
    }
    assert {name: found[name] for name in wanted} == {
        name: f"logs/tiny/{log}.tsv" for name, log in wanted.items()
    }


def test_time_stamps_that_are_in_order_are_left_alone():
    for i, result in enumerate(asked()):
        for name in (*result.files, result.card):
            os.utime(name, (10_000 + i, 10_000 + i))
    before = {p: p.stat().st_mtime for p in Path("results").rglob("*")}
    judge.take_over(asked())
    assert {p: p.stat().st_mtime for p in Path("results").rglob("*")} == before
