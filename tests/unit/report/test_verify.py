"""A results tree matches its cards; whatever is changed in it is named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from advprune.base.files import write_json
from advprune.base.provenance import provenance, sha256
from advprune.cli.main import main
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.report import origins, paired, tables
from advprune.report.verify import hashed, verify
from helpers.checkout import ROOT
from helpers.report_samples import evaluation

DEMO = ROOT / "config" / "demo.yaml"
SPEC = NetSpec("resnet18", 2, 10, 1, 8, (0.3,), (0.4,))
ARCH = Path("digits/resnet18")
MODEL = ARCH / "hydra/unstructured-0.9/seed0"
COUNTED = ("audit.json", "autoattack-0.csv", "checkpoint.json")


def net(path, seed, **parents):
    generator = torch.Generator().manual_seed(seed)
    card = provenance() | {"parents": {r: sha256(parent) for r, parent in parents.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, build(SPEC, generator), SPEC, card=card)
    return path


@pytest.fixture
def tree(tmp_path):
    """What a run leaves behind, without having run."""
    hashed.cache_clear()
    root = tmp_path / "results"
    data, test = (root / f"digits/{part}.safetensors" for part in ("train", "test"))
    data.parent.mkdir(parents=True)
    data.write_text("training images", encoding="utf-8")
    test.write_text("test images", encoding="utf-8")
    extra = tmp_path / "more.npz"
    extra.write_text("extra images, which may lie anywhere", encoding="utf-8")
    dense = net(root / ARCH / "pretrained/trades-0/seed0.safetensors", 1, data=data, extra=extra)
    pruned = net(root / MODEL / "pruned.safetensors", 2, data=data, pretrained=dense)
    net(root / MODEL / "checkpoint.safetensors", 3, data=data, pruned=pruned)
    for name in COUNTED[:2]:
        write_json(root / MODEL / name, name)
    net_sum = sha256(root / MODEL / "checkpoint.safetensors")
    card = {"sha256": sha256(root / MODEL / "autoattack-0.csv"), "parents": {"data": sha256(test)}}
    card["parents"]["checkpoint"] = net_sum
    write_json(root / MODEL / "autoattack-0.card.json", card)
    record = evaluation(robust_images="00")
    write_json(root / MODEL / "evaluation.json", record)
    parents = {name: sha256(root / MODEL / name) for name in COUNTED}
    card = {"sha256": sha256(root / MODEL / "evaluation.json"), "parents": parents}
    write_json(root / MODEL / "evaluation.card.json", card)
    write_json(root / ARCH / "evaluations.json", [record])
    tables.write_csv(tables.leaderboard([record]), root / "leaderboard.csv")
    tables.write_csv(paired.compare([record]), root / "comparison.csv")
    tables.write_csv(origins.table([root / ARCH / "evaluations.json"]), root / "provenance.csv")
    return root


def wrong(root):
    return {str(path.relative_to(root)): problem for path, problem in verify(root) if problem}


def test_an_untouched_tree_matches(tree):
    assert wrong(tree) == {}
    assert len(list(verify(tree))) == 9


def test_a_tree_is_looked_at_wherever_it_lies(tree, monkeypatch):
    """Neither `..` nor a hidden folder above the run hides its checkpoints."""
    (tree.parent / ".cache").mkdir()
    hidden = tree.rename(tree.parent / ".cache" / "results")
    assert len(list(verify(hidden))) == 9
    monkeypatch.chdir(hidden / "digits")
    assert len(list(verify(Path("..")))) == 9


def test_a_net_is_found_in_any_folder_and_one_without_a_card_is_named(tree):
    """A variant's folder without images, a hidden one, and one that is nowhere in a grid."""
    nets = tree / MODEL / "checkpoint.safetensors"
    places = ("digits-v/resnet18/lwm/filters-0.5/seed0", ".old/resnet18/x", "a/b/c/d/e/f", "loose")
    for place in places:
        (tree / place).mkdir(parents=True)
        shutil.copy(nets, tree / place / "net.safetensors")
    found = wrong(tree)
    assert {name: found[f"{name}/net.safetensors"] for name in places} == {
        name: f"{tree}/{name}/net.json: no such file" for name in places
    }
    shutil.copy(nets.with_suffix(".json"), tree / "loose" / "net.json")
    assert "another pruned" in wrong(tree)["loose/net.safetensors"]


def test_an_attack_without_its_card_is_named(tree):
    (tree / MODEL / "autoattack-0.card.json").unlink()
    assert "no such file" in wrong(tree)[str(MODEL / "autoattack-0.csv")]


def test_whatever_else_has_a_card_is_hashed(tree):
    check = tree / MODEL / "pgd.json"
    write_json(check, {"images": 2})
    parents = {"checkpoint": sha256(tree / MODEL / "checkpoint.safetensors")}
    write_json(check.with_suffix(".card.json"), {"sha256": sha256(check), "parents": parents})
    assert wrong(tree) == {} and len(list(verify(tree))) == 10
    hashed.cache_clear()
    write_json(check, {"images": 3})
    assert "its card" in wrong(tree)[str(MODEL / "pgd.json")]
    check.unlink()
    hashed.cache_clear()
    assert "its card" in wrong(tree)[str(MODEL / "pgd.json")]


def replace(root, name):
    (root / name).write_text("something else", encoding="utf-8")


def remove(root, name):
    (root / name).unlink()


def extend(root, name):
    file = root / name
    file.write_text(file.read_text(encoding="utf-8") + "one more row\n", encoding="utf-8")


def change(root, name):
    file = root / name
    file.write_text(file.read_text(encoding="utf-8").replace("0.3", "0.4"), encoding="utf-8")


@pytest.mark.parametrize(
    ("act", "name", "named", "problem"),
    [
        (replace, MODEL / "checkpoint.safetensors", MODEL / "checkpoint.safetensors", "its card"),
        (remove, MODEL / "checkpoint.json", MODEL / "checkpoint.safetensors", "no such file"),
        (replace, MODEL / "checkpoint.json", MODEL / "checkpoint.safetensors", "not valid JSON"),
        (replace, "digits/train.safetensors", MODEL / "pruned.safetensors", "another data"),
        (replace, "digits/test.safetensors", MODEL / "autoattack-0.csv", "another data"),
        (replace, MODEL / "pruned.safetensors", MODEL / "checkpoint.safetensors", "another pruned"),
        (replace, MODEL / "pruned.json", MODEL / "pruned.safetensors", "not valid JSON"),
        (
            remove,
            ARCH / "pretrained/trades-0/seed0.safetensors",
            MODEL / "pruned.safetensors",
            "another pretrained",
        ),
        (change, MODEL / "evaluation.json", MODEL / "evaluation.json", "its card"),
        (change, MODEL / "evaluation.json", ARCH / "evaluations.json", "something else than"),
        (remove, MODEL / "evaluation.card.json", MODEL / "evaluation.json", "no such file"),
        (replace, MODEL / "audit.json", MODEL / "evaluation.json", "another audit.json"),
        (remove, MODEL / "autoattack-0.csv", MODEL / "evaluation.json", "another autoattack-0.csv"),
        (replace, MODEL / "autoattack-0.csv", MODEL / "autoattack-0.csv", "its card"),
        (remove, MODEL / "checkpoint.safetensors", MODEL / "autoattack-0.csv", "another checkp"),
        (change, ARCH / "evaluations.json", "leaderboard.csv", "does not follow"),
        (change, "leaderboard.csv", "leaderboard.csv", "does not follow"),
        (extend, "comparison.csv", "comparison.csv", "does not follow"),
        (replace, "comparison.csv", "comparison.csv", "other columns"),
        (extend, "provenance.csv", "provenance.csv", "does not follow from evaluations and cards"),
    ],
)
def test_what_was_changed_is_named(tree, act, name, named, problem):
    act(tree, name)
    assert problem in wrong(tree)[str(named)]


def test_a_variant_of_the_dataset_is_looked_at_with_the_images_that_it_shares(tree):
    shutil.copytree(tree / ARCH, tree / "digits-e4/resnet18")
    write_json(tree / "digits-e4/resnet18/net.json", {})
    (tree / "digits-e4/resnet18/evaluations.json").unlink()  # it would be the same models twice
    assert wrong(tree) == {}
    assert len(list(verify(tree))) == 9 + 5
    hashed.cache_clear()
    (tree / "digits/test.safetensors").write_text("other images", encoding="utf-8")
    assert "digits-e4/resnet18/hydra/unstructured-0.9/seed0/autoattack-0.csv" in wrong(tree)


def test_a_net_before_finetuning_may_be_tidied_away_while_its_card_stays(tree):
    (tree / MODEL / "pruned.safetensors").unlink()
    assert wrong(tree) == {}
    (tree / MODEL / "pruned.json").unlink()
    assert "another pruned" in wrong(tree)[str(MODEL / "checkpoint.safetensors")]


def test_adversarial_images_are_compared_with_the_card_of_their_attack(tree):
    images = tree / MODEL / "autoattack-0.adversarials.safetensors"
    images.write_text("images", encoding="utf-8")
    path = tree / MODEL / "autoattack-0.card.json"
    write_json(
        path, json.loads(path.read_text(encoding="utf-8")) | {"adversarials": sha256(images)}
    )
    assert wrong(tree) == {}
    hashed.cache_clear()
    images.write_text("other images", encoding="utf-8")
    assert "adversarial images" in wrong(tree)[str(MODEL / "autoattack-0.csv")]


def test_nothing_is_made_from_the_last_epoch_of_a_pretraining(tree):
    best = tree / ARCH / "pretrained/trades-0/seed0.safetensors"
    for path in (best, best.with_suffix(".json")):
        path.rename(path.with_name(path.name.replace("seed0", "seed0.last")))
    found = {path.name: problem for path, problem in verify(tree)}
    assert found["seed0.last.safetensors"] == ""
    assert found["pruned.safetensors"].startswith("was made from another pretrained")


def test_trainings_under_way_are_not_judged(tree):
    hidden = tree / MODEL / ".checkpoint.state"
    hidden.mkdir()
    (hidden / "epoch.safetensors").write_text("half", encoding="utf-8")
    (tree / MODEL / ".new.safetensors").write_text("half", encoding="utf-8")
    assert wrong(tree) == {}


def test_the_command_says_so_and_fails(tree):
    def run():
        done = CliRunner().invoke(main, ["verify", str(tree)])
        return done.exit_code, done.output

    kinds = "1 attacks, 1 evaluations, 3 nets, 4 summaries"
    settings = "settings were not compared (--configfile)"
    said = f"{tree}: 9 of 9 files match their provenance ({kinds}); {settings}\n"
    assert run() == (0, said)
    done = CliRunner().invoke(main, ["verify", str(tree), "--configfile", str(DEMO)])
    assert done.output.endswith(f"({kinds}); 1 of no job of {DEMO}\n")  # the pretraining's recipe
    change(tree, "leaderboard.csv")
    status, said = run()
    assert status == 1 and "8 of 9 files match" in said
    shutil.rmtree(tree)
    assert run() == (2, f"Error: {tree}: no results to verify\n")


def test_a_process_can_tell_where_a_file_comes_from():
    process = provenance("numpy")
    assert json.loads(json.dumps(process)) == process
    assert {"commit", "dirty", "python", "numpy", "time", "peak_memory_mib"} <= process.keys()
