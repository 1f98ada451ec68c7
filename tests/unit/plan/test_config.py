"""Bad configurations are refused with one clear line, good ones become exact job specifications."""

import copy
import math
from dataclasses import replace

import pytest
import yaml

from advprune.base.errors import UserError
from advprune.plan.config import ROOT, check, fraction, load_config
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from advprune.plan.specs import ReliabilitySpec
from advprune.plan.verdicts import Verdicts
from helpers.checkout import shipped_methods, tracked
from helpers.configs import DEMO, changed

GRIDS = [p for p in tracked("config") if p.parent.name == "config" and p.suffix == ".yaml"]


EXTERNAL = {"path": "x.pt", "dataset": "digits", "arch": "resnet18", "mean": [0.3], "std": [0.4]}
BAD = [
    ("sead", 0, "'sead' was unexpected"),
    ("seeds", None, "'seeds' is a required property"),
    ("seeds", [], "[] should be non-empty"),
    ("seeds", "0", "'0' is not of type 'array' (a list stands in brackets: [0, 1])"),
    ("seeds", [0, 0], "has non-unique elements"),
    ("threads", 0, "0 is less than the minimum of 1"),
    ("device", "tpu", "'tpu' is not one of ['auto', 'cpu', 'cuda']"),
    ("datasets.digits.eps", 31, "31 is greater than the maximum of 1"),
    ("datasets.digits.eps", "0,031", "'0,031' does not match"),
    ("datasets.digits.eps", "8/0", "'8/0' does not match"),
    ("datasets.mnist", DEMO["datasets"]["digits"], "unknown dataset 'mnist'"),
    ("datasets.digits.limits.test", 500, "datasets.digits.limits.test: 500 of 397 images"),
    ("evaluation.hofmn.tune_images", 500, "digits has only 100 validation images"),
    ("evaluation.doubts", {"images": 10}, "evaluation.doubts is now evaluation.reliability"),
    ("evaluation.opinions", {}, "evaluation.opinions is now evaluation.other_attacks"),
    ("evaluation", 1, "evaluation: 1 is not of type 'object'"),
    ("archs.resnet19", {"width": 8}, "unknown architecture 'resnet19'"),
    ("archs.resnet18.width", 0, "0 is less than the minimum of 1"),
    ("archs.resnet18.final_pool", "max", "archs.resnet18: resnet18 has no option final_pool (it"),
    ("archs.vgg16", {"width": 4, "final_pool": "min"}, "final_pool: 'min' is not one of ['none', "),
    ("archs.vgg16", {"width": 4, "hidden": [8, 0]}, "hidden.1: 0 is less than the minimum of 1"),
    ("archs.vgg16", {"width": 4, "hidden": 8}, "hidden: 8 is not of type 'array'"),
    ("archs.vgg16", {"width": 4, "depth": 8}, "'depth' was unexpected"),
    ("grid.0.datasets", ["cifar10"], "'cifar10' is not described under datasets"),
    ("grid.0.archs", ["vgg16"], "'vgg16' is not described under archs"),
    ("grid.0.methods", "every", "'all' was expected"),
    ("grid.0.methods", ["hydro"], "unknown method 'hydro'"),
    ("grid.0.methods", [{"hydra": ["filters"]}], "'hydra' has no filters (has: unstructured)"),
    ("datasets.a b", DEMO["datasets"]["digits"], "'a b' does not match"),
    ("grid.0.unstructured", [1.0], "1.0 is greater than or equal to the maximum of 1"),
    ("grid.0.unstructured", [90], "90 is greater than or equal to the maximum of 1"),
    ("grid.0.unstructured", None, "no sparsities for 'hydra' (unstructured)"),
    ("overrides.radmm.params", {"roh": 1}, "overrides.radmm: no parameter roh"),
    ("overrides.radmm.recipes", {"prun": {}}, "overrides.radmm: no phase prun"),
    ("overrides.radmm.recipes", {"prune": {"epoch": 3}}, "'epoch' was unexpected"),
    ("overrides.hydro", {}, "unknown method 'hydro'"),
    ("budget", "publish", "budget"),
    ("budget.recipes.pretrain", {"schedule": "linear"}, "linear"),
    ("budget.recipes.pretrain.lr", math.nan, "pretrain.lr: nan is not a finite number"),
    ("budget.recipes.pretrain.lr", math.inf, "inf is not a finite number"),
    ("grid.0.unstructured", [math.nan], "grid.0.unstructured.0: nan is not a finite number"),
    ("datasets.digits.eps", math.nan, "datasets.digits.eps: nan is not a finite number"),
    ("seeds", [1.0], "1.0 is not of type 'integer'"),
    ("datasets.digits.training_attack.steps", 5.0, "5.0 is not of type 'integer'"),
    ("archs.resnet18.width", 10**400, "archs.resnet18.width: more than 9007199254740992"),
    ("budget.recipes.pretrain.lr", 10**400, "pretrain.lr: more than"),
    ("overrides.radmm.params", {"rho": "\ud800"}, "holds half of a letter"),
    (
        "external",
        {"a": EXTERNAL | {"mean": [125.3]}},
        "mean: 125.3 is none of images in [0, 1]; div",
    ),
    ("external", {"a": EXTERNAL | {"std": [1e-300]}}, "std: 1e-300 is none of images in [0, 1]"),
    ("grid.0.unstructured", [1e-9], "1e-09: at most six digits, and not below 0.0001"),
    ("grid.0.unstructured", [0.9000001], "0.9000001: at most six digits"),
    ("grid", [], "neither grid nor external nor released names a model"),
    ("preset", "../elsewhere", "does not match"),
    ("preset", "a" * 65, "is too long"),
    ("datasets.digits.eps", "300/255", "datasets.digits.eps: 300/255 of images in [0, 1]"),
    ("datasets.digits.training_attack.step", "3/2", "training_attack.step: 3/2 of images"),
    ("datasets.digits.limits.train", 1, "limits.train: a batch needs two images"),
    ("overrides.radmm.params", {"rho": "big"}, "rho: 'big' is text, the published value is a n"),
    ("overrides.flyingbird.params", {"updates": [1]}, "updates: [1] is a list"),
    ("external", {"a b": {}}, "'a b' does not match"),
    ("external.mine", {"path": "x.pt"}, "'dataset' is a required property"),
    ("external.mine", EXTERNAL | {"dataset": "svhn"}, "'svhn' is not described under datasets"),
    ("external.mine", EXTERNAL | {"arch": "vgg16"}, "'vgg16' is not described under archs"),
    ("external.mine", EXTERNAL | {"mean": [0, 0, 0]}, "mine.mean: digits has 1 channel(s)"),
    ("external.mine", EXTERNAL | {"std": [0]}, "0 is less than or equal to the minimum of 0"),
    ("external.mine", EXTERNAL | {"sparsity": 0.9}, "mine: structure none, sparsity 0.9"),
    ("external.mine", EXTERNAL | {"rename": {"(": ""}}, "mine.rename: '(': missing )"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_a_bad_configuration_is_one_clear_line(path, value, message):
    with pytest.raises(UserError) as caught:
        Protocol(load_config(changed(path, value)))
    text = str(caught.value)
    assert message in text and "\n" not in text and text.startswith(("config", "unknown"))


@pytest.mark.parametrize("path", GRIDS)
def test_the_shipped_configurations_are_valid(path):
    assert Protocol(load_config(yaml.safe_load(path.read_text(encoding="utf-8")))).models


@pytest.mark.parametrize("key", shipped_methods())
def test_the_shipped_methods_are_valid_and_complete(key):
    entry = load_method(key)
    assert (ROOT / "scripts" / "advprune" / "methods" / f"{key}.py").is_file()
    unsourced = set(entry.get("sources", {}))
    for where in unsourced:  # every source speaks of something that is there
        assert where.split(".")[0] in entry, where


def test_fractions_are_parsed_once_and_exactly():
    assert fraction("8/255") == 8 / 255 and fraction("1/5") == 0.2


def test_the_demo_grid():
    models = Protocol(load_config(DEMO)).models
    names = {(m.method, m.target) for m in models}
    assert ("dense", "none-0") in names and ("radmm", "filters-0.5") in names
    assert ("hydra", "unstructured-0.9") in names and len(names) == len(models) == 10


def test_methods_with_the_same_pretraining_share_it():
    protocol = Protocol(load_config(DEMO))
    name = {k: protocol.pretrain_name("digits", "resnet18", k) for k in protocol.methods}
    assert name["dense"] == name["lwm"] == name["radmm"] == name["random"]
    assert name["hydra"] not in (name["lwm"], None)
    assert name["li20"] is None and name["flyingbird"] is None


def test_the_published_budget_gives_every_method_its_authors_recipe():
    protocol = Protocol(load_config(changed("budget", "published") | {"overrides": {}}))
    names = {protocol.pretrain_name("digits", "resnet18", k) for k in ("dense", "radmm", "hydra")}
    assert len(names) == 3
    hydra = next(m for m in protocol.models if m.method == "hydra")
    assert protocol.prune(hydra).recipes["prune"].epochs == 20


def specs(config):
    """Every job specification of a configuration, by job."""
    protocol = Protocol(load_config(config))
    found = {}
    for m in protocol.models:
        found["prune", m] = protocol.prune(m)
        found["finetune", m] = protocol.finetune(m)
        found["pretrain", m.method] = protocol.pretrain_name(m.dataset, m.arch, m.method)
    return found


def test_a_parameter_of_one_method_changes_only_its_jobs():
    before = specs(DEMO)
    after = specs(changed("overrides.radmm.params", {"rho": 0.7}))
    different = {key[1].method for key in before if before[key] != after[key]}
    assert different == {"radmm"}


def test_a_phase_changes_only_the_jobs_that_have_it():
    before = specs(DEMO)
    after = specs(changed("budget.recipes.train.lr", 0.2))
    different = {(k[0], k[1].method) for k in before if before[k] != after[k]}
    assert different == {("prune", "flyingbird"), ("finetune", "li20")}


def test_shards_cover_the_test_images():
    config = changed("evaluation.autoattack.shard", 50)
    config["datasets"]["digits"]["limits"]["test"] = 128
    assert Verdicts(Protocol(load_config(config))).shards("digits", "autoattack") == 3


def test_a_teacher_is_a_pretrained_net():
    method = load_method("hydra") | {"teacher": True}
    check(method, "method", "hydra")
    recipes = {p: r for p, r in method["recipes"].items() if p != "pretrain"}
    with pytest.raises(UserError, match="'pretrain' is a required property"):
        check(method | {"recipes": recipes}, "method", "hydra")


def test_reliability_jobs_repeat_the_attacks_as_they_were_and_have_a_sample_by_default():
    protocol = Protocol(load_config(copy.deepcopy(DEMO)))
    model = protocol.models[0]
    expected = ReliabilitySpec(
        "resnet18", 0, 0.2, 100, 100, batch=200, version="standard", fmn_steps=100
    )
    assert Verdicts(protocol).reliability(model) == expected
    protocol = Protocol(load_config(changed("evaluation.reliability", {"images": 7})))
    assert Verdicts(protocol).reliability(model) == replace(expected, images=7)


def test_the_dense_net_of_a_model_has_its_seed():
    protocol = Protocol(load_config(changed("seeds", [0, 1])))
    for model in protocol.models:
        dense = protocol.grid.dense(model)
        assert (dense.method, dense.structure, dense.seed) == ("dense", "none", model.seed)
    without = Protocol(load_config(changed("grid.0.methods", ["lwm"])))
    assert without.grid.dense(without.models[0]) is None


def test_a_model_is_found_with_its_seed_and_no_other():
    protocol = Protocol(load_config(changed("seeds", [0, 1])))
    found = protocol.grid.find("digits", "resnet18", "dense", "none-0", 1)
    assert found.seed == 1 and protocol.prune(found).seed == 1
    with pytest.raises(UserError, match="seed 2 is not in the grid"):
        protocol.grid.find("digits", "resnet18", "dense", "none-0", 2)


def test_an_unknown_objective_is_refused_in_the_plan(monkeypatch):
    method = load_method("hydra")
    method["objectives"]["prune"] = {"name": "trade"}
    monkeypatch.setattr("advprune.plan.methods.read_yaml", lambda path: method)
    with pytest.raises(UserError, match=r"unknown objective 'trade' .known: fgsm, lbgat, mart,"):
        load_method("hydra")
