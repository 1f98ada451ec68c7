"""A card is held against the code and the configuration of now."""

import copy
from pathlib import Path

import pytest

from advprune.base.errors import UserError
from advprune.base.files import write_json
from advprune.base.record import to_dict
from advprune.plan import code
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import Verdicts
from advprune.report.why import by_place, cards, reasons
from helpers.checkout import tiny_config

PROTOCOL = Protocol(load_config(tiny_config()))
MODEL = next(m for m in PROTOCOL.models if m.method == "hydra")
PLACE = "results/tiny/digits/resnet18/hydra/unstructured-0.8/seed0"


def written(root, name, script, spec, **changed):
    """A card as the job would have written it, with other digests for some modules."""
    made_by = dict(code.behind(script, spec)) | changed
    path = root / PLACE / name
    write_json(path, {"script": script, "code": made_by, "spec": to_dict(spec), "sha256": "0"})
    return path


@pytest.fixture
def card(tmp_path):
    return written(tmp_path, "pruned.json", "prune", PROTOCOL.prune(MODEL))


def asking(**params):
    config = copy.deepcopy(tiny_config())
    config["overrides"] = {"hydra": {"recipes": {"prune": params}}}
    return by_place(Protocol(load_config(config)))


def test_nothing_has_changed_since(card):
    assert reasons(card, by_place(PROTOCOL)) == []


def test_a_changed_module_is_named_and_so_is_one_that_is_gone(tmp_path):
    other = {"advprune/pruning/masks.py": "other", "advprune/pruning/gone.py": "x"}
    path = written(tmp_path, "pruned.json", "prune", PROTOCOL.prune(MODEL), **other)
    assert reasons(path) == [
        "scripts/advprune/pruning/gone.py: no longer used",
        "scripts/advprune/pruning/masks.py: changed",
    ]


def test_a_changed_setting_is_named_with_both_values(card):
    assert reasons(card, asking(lr=0.2)) == ["recipes.prune.lr: 0.05 before, 0.2 now"]


def test_a_setting_that_came_from_its_default_says_so(card):
    assert reasons(card, asking(warmup=0.1)) == ["recipes.prune.warmup: default before, 0.1 now"]


@pytest.mark.parametrize("name", ["autoattack-1.card.json", "evaluation.card.json"])
def test_attacks_and_evaluations_have_cards_too(tmp_path, name):
    verdicts = Verdicts(PROTOCOL)
    attack = name.startswith("auto")
    spec = verdicts.autoattack(MODEL, 1) if attack else verdicts.evaluate(MODEL)
    path = written(tmp_path, name, "autoattack" if attack else "evaluate", spec)
    assert reasons(path, by_place(PROTOCOL)) == []
    config = tiny_config()
    config["datasets"]["digits"]["eps"] = "1/4"
    places = [text.split(":")[0] for text in reasons(path, by_place(Protocol(load_config(config))))]
    assert "eps" in places


@pytest.mark.parametrize("card_name", ["seed0.json", "seed0.last.json"])
def test_a_pretraining_is_found_by_its_folder(tmp_path, card_name):
    name = PROTOCOL.pretrain_name("digits", "resnet18", "hydra")
    spec = PROTOCOL.pretrain("digits", "resnet18", "hydra", 0)
    path = written(tmp_path, f"../../../pretrained/{name}/{card_name}", "pretrain", spec)
    assert reasons(path.resolve(), by_place(PROTOCOL)) == []


def test_a_model_that_is_no_longer_asked_for_is_one_line(card):
    config = tiny_config()
    config["grid"][0]["methods"] = ["dense"]
    with pytest.raises(UserError, match=r"pruned.json: the configuration asks for no such result"):
        reasons(card, by_place(Protocol(load_config(config))))


def test_cards_are_found_below_a_folder_and_beside_a_file(card, tmp_path):
    write_json(card.with_name("audit.json"), {"layers": {}})
    assert list(cards(tmp_path)) == [card]
    assert list(cards(card.with_name("pruned.safetensors"))) == [card]
    with pytest.raises(UserError, match=r"audit.json: has no card"):
        list(cards(Path(card.with_name("audit.json"))))
