"""Variants have rows of their own and share all else that is equal."""

import copy
import itertools
from dataclasses import replace

import pytest

from advprune.base.errors import UserError
from advprune.base.record import to_dict
from advprune.plan import code
from advprune.plan.config import load_config, read_yaml
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from advprune.plan.specs import Recipe
from advprune.plan.verdicts import Verdicts
from helpers.configs import DEMO, changed, jobs

TRADES = {"name": "trades", "beta": 6.0}
LWM = {"as": "lwm-trades", "name": "LWM (TRADES)", "objective": TRADES}
DIGITS, RESNET = DEMO["datasets"]["digits"], DEMO["archs"]["resnet18"]


def with_methods(*entries, blocks=1):
    """The demo with these methods before its own, in so many blocks."""
    config = copy.deepcopy(DEMO)
    config["grid"][0]["methods"] = [*entries, *config["grid"][0]["methods"]]
    config["grid"] *= blocks
    return config


def with_datasets(**entries):
    """The demo on further datasets; an underscore in a name here is a hyphen there."""
    config = copy.deepcopy(DEMO)
    for name, changes in entries.items():
        config["datasets"][name.replace("_", "-")] = DIGITS | {"dataset": "digits"} | changes
    config["grid"][0]["datasets"] = list(config["datasets"])
    return config


def planned(config):
    return Protocol(load_config(copy.deepcopy(config)))


def only(run, method, structure="unstructured"):
    (model,) = (m for m in run.models if (m.method, m.structure) == (method, structure))
    return model


def test_a_variant_has_its_own_row_and_its_methods_module():
    run = planned(with_methods({"lwm": LWM}))
    model = only(run, "lwm-trades")
    row = run.row(model)
    assert (row.method, row.variant_of, row.name) == ("lwm-trades", "lwm", "LWM (TRADES)")
    assert run.prune(model).method == run.finetune(model).method == run.plan(model).key == "lwm"
    assert "methods.lwm" in code.modules(run.prune(model))
    assert run.finetune(model).objectives == {"finetune": TRADES}
    structures = {m.structure for m in run.models if m.method == "lwm-trades"}
    assert structures == set(load_method("lwm")["structures"])


def test_a_plain_row_says_its_objective_and_no_variant():
    run = planned(DEMO)
    row = run.row(only(run, "hydra"))
    assert (row.name, row.variant_of, row.objective) == (None, None, "trades")
    assert run.row(only(run, "li20")).objective == "pgd"


def test_the_objective_of_a_row_is_that_of_the_last_training_that_has_one():
    config = with_methods("pwoa", {"lwm": {"as": "lwm-m", "objectives": {"finetune": TRADES}}})
    run = planned(config)
    assert run.row(only(run, "pwoa")).objective == "trades"  # finetuning distils
    assert run.row(only(run, "lwm-m")).objective == "trades"
    assert run.pretrain_name("digits", "resnet18", "lwm-m") == run.pretrain_name(
        "digits", "resnet18", "lwm"
    )


def test_equal_pretraining_is_shared_across_methods_and_variants():
    run = planned(with_methods({"lwm": LWM}))
    name = {m: run.pretrain_name("digits", "resnet18", m) for m in ("lwm", "lwm-trades", "dense")}
    assert name["lwm"] == name["dense"] != name["lwm-trades"]
    hydra = planned(with_methods({"hydra": {"as": "h", "recipes": {"prune": {"lr": 1}}}}))
    assert hydra.pretrain_name("digits", "resnet18", "h") == hydra.pretrain_name(
        "digits", "resnet18", "hydra"
    )
    of = run.pretrain_of("digits", "resnet18", name["lwm-trades"], 0)
    assert of.objective == TRADES


def test_a_variant_changes_no_job_of_others_and_its_dense_net_is_theirs():
    before, after = jobs(DEMO), jobs(with_methods({"lwm": LWM}))
    assert all(after[key] == before[key] for key in before)
    new = {key[1].method for key in after.keys() - before.keys() if key[0] != "pretrain"}
    assert new == {"lwm-trades"}
    run = planned(with_methods({"lwm": LWM}))
    assert run.grid.dense(only(run, "lwm-trades")).method == "dense"
    assert only(run, "lwm-trades") in Verdicts(run).pruned_here()


def test_everything_of_a_method_can_vary():
    params = {"rho": 0.9}
    given = {"as": "radmm-long", "params": params, "structures": ["filters"]}
    given |= {"shares": {"prune": 0.4}, "recipes": {"prune": {"cycles": 3}}}
    run = planned(with_methods({"radmm": given}))
    model = only(run, "radmm-long", "filters")
    plan, plain = run.plan(model), run.plan(replace(model, method="radmm"))
    assert plan.params == plain.params | params
    assert (plan.recipes["prune"].epochs, plan.recipes["finetune"].epochs) == (13, 3)
    assert plan.recipes["prune"].cycles == 3 and plain.recipes["prune"].cycles == 5
    assert run.row(model).name == "radmm-long"  # without a name, the key is shown
    assert plan.epochs == plain.epochs == DEMO["budget"]["epochs"]


def test_a_table_among_the_parameters_keeps_what_a_layer_leaves_out():
    given = {"as": "harp-b", "params": {"start": {"unstructured": 0.2}}}
    config = with_methods("harp", {"harp": given})
    config["overrides"]["harp"] = {"params": {"gamma_step": {"channels": 0.3}}}
    run, published = planned(config), load_method("harp")["params"]
    params = run.plan(only(run, "harp-b")).params
    assert params["start"] == published["start"] | {"unstructured": 0.2}
    assert params["gamma_step"] == published["gamma_step"] | {"channels": 0.3}
    assert run.plan(only(run, "harp")).params["start"] == published["start"]


def test_what_was_defined_may_be_named_and_defined_alike_again():
    config = with_methods({"lwm": LWM}, blocks=2)
    config["grid"][0]["methods"] = [{"lwm": LWM | {"structures": ["filters"]}}]
    named = {"methods": [{"lwm-trades": ["unstructured"]}], "unstructured": [0.8]}
    config["grid"].append(config["grid"][1] | named)
    config["grid"][1] = config["grid"][1] | {"methods": ["lwm-trades"], "unstructured": [0.7]}
    targets = {m.target for m in planned(config).models if m.method == "lwm-trades"}
    found = {"filters-0.5", "channels-0.5", "unstructured-0.7", "unstructured-0.8"}
    assert targets >= found and "unstructured-0.9" not in targets


def test_structures_alone_are_no_variant():
    run = planned(changed("grid.0.methods", ["dense", {"lwm": {"structures": ["filters"]}}]))
    assert {m.target for m in run.models} == {"none-0", "filters-0.5"}
    assert run.row(only(run, "lwm", "filters")).variant_of is None


def test_a_dataset_at_another_radius_shares_the_images_and_nothing_else():
    run = planned(with_datasets(digits_e4={"eps": "1/10"}))
    model = next(m for m in run.models if m.dataset == "digits-e4" and m.method == "hydra")
    assert run.data_source("digits-e4") == "digits"
    assert run.prune(model).threat.eps == 0.1 and run.row(model).dataset == "digits-e4"
    evaluation = Verdicts(run).evaluate(model)
    assert (evaluation.eps, evaluation.eps_text, evaluation.classes) == (0.1, "1/10", 10)
    assert run.grid.dense(model).dataset == "digits-e4"


def test_other_limits_are_other_images():
    limits = {"limits": {"test": 50}}
    run = planned(with_datasets(digits_few=limits, digits_few_e4=limits | {"eps": "1/10"}))
    assert run.data_source("digits-few") == "digits-few"
    assert run.data_source("digits-few-e4") == "digits-few-e4"  # whatever else is there
    assert run.data("digits-few", "test").name == "digits"  # what is read
    assert run.data("digits-few", "test").limits == {"test": 50}


def test_images_stay_where_they_are_when_a_dataset_with_the_same_limits_joins():
    whole = with_datasets(digits_a={}, digits_b={"eps": "1/10"})
    entries = whole["datasets"]
    for names in itertools.permutations(entries):
        for several in (names[:1], names[:2], names):
            config = whole | {"datasets": {name: entries[name] for name in several}}
            config["grid"] = [whole["grid"][0] | {"datasets": list(several)}]
            run = planned(config)
            assert {run.data_source(name) for name in several} == {"digits"}
            assert run.data("digits", "test").limits == entries["digits-a"]["limits"]
            assert run.data("digits", "train").name == "digits"


def test_a_net_of_another_width_is_loaded_by_its_own_name():
    config = changed("archs.resnet18-w4", {"arch": "resnet18", "width": 4})
    config["grid"][0]["archs"] = ["resnet18", "resnet18-w4"]
    config["evaluation"]["other_attacks"] = {"images": 5, "steps": 2}
    config["evaluation"]["corruptions"] = {"images": 5}
    run = planned(config)
    verdicts = Verdicts(run)
    model = next(m for m in run.models if m.arch == "resnet18-w4" and m.method == "hydra")
    assert run.row(model).arch == "resnet18-w4"
    asked = [run.prune(model), run.finetune(model), run.pretrain("digits", model.arch, "hydra", 0)]
    asked += [run.net("digits", model.arch)]
    assert {spec.width for spec in asked} == {4}
    for kind in ("autoattack", "hofmn_tune", "hofmn", "pgd", "reliability", "audit"):
        asked.append(getattr(verdicts, kind)(model))
    for kind in ("other_attacks", "corruptions", "costs"):
        asked.append(getattr(verdicts, kind)(model))
        assert "models.nets.resnet18" in code.modules(asked[-1])
    assert {spec.arch for spec in asked} == {"resnet18"}


def test_two_forms_of_one_net_are_two_nets_that_load_the_same_module():
    config = changed("archs.vgg16", {"width": 4})
    config["archs"]["vgg16-max"] = {"arch": "vgg16", "width": 4, "final_pool": "max", "hidden": []}
    config["grid"][0]["archs"] = ["vgg16", "vgg16-max"]
    run = planned(config)
    verdicts = Verdicts(run)
    for name, options in (("vgg16", {}), ("vgg16-max", {"final_pool": "max", "hidden": []})):
        model = next(m for m in run.models if m.arch == name and m.method == "hydra")
        asked = [run.prune(model), run.finetune(model), run.pretrain("digits", name, "hydra", 0)]
        asked += [run.net("digits", name), verdicts.evaluate(model)]
        for spec in map(to_dict, asked):  # without options a specification is as ever
            assert {k: spec[k] for k in ("final_pool", "hidden") if k in spec} == options
        assert "models.nets.vgg16" in code.modules(asked[0])
    assert [len(run.layers("digits", name)) for name in ("vgg16", "vgg16-max")] == [16, 14]


SETTINGS = [
    {"dataset": "digits", "params": {"floor": 2}},
    {"arch": "vgg16", "recipes": {"prune": {"lr": 0.01, "weight_decay": 0.1}}},
    {"arch": "vgg16", "dataset": "digits", "recipes": {"prune": {"lr": 0.02}}},
]


@pytest.fixture
def settings(monkeypatch):
    """Function that gives Li20 these settings."""
    content, read = load_method("li20"), read_yaml

    def give(*given):
        own = content | {"settings": list(given)}
        monkeypatch.setattr(
            "advprune.plan.methods.read_yaml",
            lambda path: own if path.stem == "li20" else read(path),
        )

    return give


def li20_on_two_nets(**changes):
    config = changed("grid.0.methods", ["li20"]) | changes
    config["archs"]["vgg16-w4"] = {"arch": "vgg16", "width": 4}
    config["grid"][0]["archs"] = ["resnet18", "vgg16-w4"]
    run = planned(config)
    return [run.plan(model) for model in run.models]


def test_the_authors_settings_are_laid_over_where_dataset_and_net_match(settings):
    """By the names of what they vary: vgg16-w4 is a vgg16."""
    before = load_method("li20")
    settings(*SETTINGS)
    resnet, vgg = li20_on_two_nets(budget="published", overrides={})
    assert resnet.params["floor"] == vgg.params["floor"] == 2 != before["params"]["floor"]
    assert resnet.recipes["prune"].lr == before["recipes"]["prune"]["lr"]
    assert (vgg.recipes["prune"].lr, vgg.recipes["prune"].weight_decay) == (0.02, 0.1)
    assert vgg.recipes["train"] == resnet.recipes["train"]


def test_budget_overrides_and_variants_are_laid_over_the_settings(settings):
    settings(*SETTINGS, {"arch": "vgg16", "recipes": {"prune": {"epochs": 7, "batch": 7}}})
    _, vgg = li20_on_two_nets()
    assert (vgg.recipes["prune"].lr, vgg.recipes["prune"].batch) == (0.02, 128)
    assert vgg.recipes["prune"].epochs == 8  # of the budget
    overrides = DEMO["overrides"] | {
        "li20": {
            "params": {"floor": 3},
            "recipes": {"prune": {"lr": 0.03}, "train": {"warmup": 0}},
        }
    }
    _, vgg = li20_on_two_nets(overrides=overrides)
    assert (vgg.params["floor"], vgg.recipes["prune"].lr) == (3, 0.03)
    config = changed("grid.0.methods", [{"li20": {"as": "v", "params": {"floor": 4}}}])
    run = planned(config | {"overrides": overrides})
    assert run.plan(run.models[0]).params["floor"] == 4


def test_pretraining_under_a_common_budget_is_the_runs():
    """SR-GKP's published milestones and Heracles' warm-up on SVHN have no part in it."""
    config = changed("grid.0.methods", ["heracles", "srgkp", "lwm"])
    config["datasets"] = {"svhn": config["datasets"]["digits"] | {"limits": {}}}
    config["grid"][0] |= {"datasets": ["svhn"], "structured": [0.5]}
    config["overrides"] = {"srgkp": {"recipes": {"pretrain": {"lr": 0.2}}}}
    run = planned(config)
    recipes = {m.method: run.plan(m).recipes["pretrain"] for m in run.models}
    assert recipes["heracles"] == recipes["lwm"] == Recipe(16, 64, schedule="onecycle")
    assert recipes["srgkp"] == replace(recipes["lwm"], lr=0.2)  # unless it is asked for
    del config["budget"]["recipes"]["pretrain"]
    run = planned(config)
    assert {run.plan(m).recipes["pretrain"] for m in run.models if m.method != "srgkp"} == {
        Recipe(16)
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"arch": "vgg19", "params": {}}, "settings.0.arch: unknown 'vgg19'"),
        ({"dataset": "mnist", "params": {}}, "settings.0.dataset: unknown 'mnist'"),
        ({"arch": "vgg16", "params": {"flor": 1}}, "settings.0: no parameter flor"),
        ({"arch": "vgg16", "params": {"floor": "x"}}, "floor: 'x' is text"),
        ({"arch": "vgg16", "recipes": {"tune": {}}}, "settings.0: no phase tune"),
        ({"params": {}}, "settings.0: {'params': {}} is not valid"),
    ],
)
def test_a_bad_setting_is_one_clear_line(settings, setting, message):
    settings(setting)
    with pytest.raises(UserError, match=r"^config/methods/li20.yaml: settings.0") as caught:
        load_method("li20")
    assert message in str(caught.value) and "\n" not in str(caught.value)


methods = with_methods
BAD = [
    (methods({"lwm": {"objective": TRADES}}), "grid.0.lwm: objective needs a name for the variant"),
    (methods({"lwm": {"name": "Mine"}}), "grid.0.lwm: name needs a name for the variant"),
    (methods({"lwm": LWM | {"as": "hydra"}}), "grid.0.lwm.as: 'hydra' is a name of its own"),
    (methods({"lwm": LWM | {"as": "external-x"}}), "'external-x' stands for something else"),
    (methods({"lwm": LWM | {"as": "pretrained"}}), "'pretrained' stands for something else"),
    (methods({"lwm": LWM | {"as": "Lwm"}}), "'Lwm' does not match"),
    (methods({"lwm": LWM | {"as": "lwm/2"}}), "'lwm/2' does not match"),
    (methods({"lwm": LWM}, {"lwm": LWM | {"name": "B"}}), "grid.0: another 'lwm-trades' than"),
    (methods({"lwm": LWM}, {"random": LWM}), "grid.0: another 'lwm-trades' than before"),
    (methods("lwm-trades"), "unknown method 'lwm-trades'"),
    (methods({"lwm": LWM}, {"lwm-trades": {"as": "b"}}), "unknown method 'lwm-trades'"),
    (methods({"lwm": LWM | {"structures": ["kernels"]}}), "'lwm-trades' has no kernels"),
    (methods({"lwm": LWM | {"objectiv": TRADES}}), "'objectiv' was unexpected"),
    (methods({"lwm": LWM | {"objective": "trades"}}), "'trades' is not of type 'object'"),
    (
        methods({"lwm": LWM | {"objective": {"name": "trade"}}}),
        "lwm-trades.objectives.pretrain: unknown objective 'trade' (known: fgsm,",
    ),
    (methods({"lwm": LWM | {"objective": TRADES | {"bta": 1}}}), "trades has no bta"),
    (methods({"lwm": LWM | {"objective": TRADES | {"threat": 1}}}), "trades has no threat"),
    (
        methods({"lwm": LWM | {"objective": {"name": "fgsm", "single_step": True}}}),
        "fgsm has no single_step",
    ),
    (methods({"lwm": LWM | {"objectives": {"prune": TRADES}}}), "no objective of prune"),
    (methods({"lwm": LWM | {"params": {"rho": 1}}}), "lwm-trades: no parameter rho"),
    (methods({"radmm": {"as": "r", "params": {"rho": "x"}}}), "r.params.rho: 'x' is text"),
    (methods({"lwm": LWM | {"recipes": {"prune": {}}}}), "lwm-trades: no phase prune"),
    (
        methods({"lwm": LWM | {"recipes": {"finetune": {"epochs": 3}}}}),
        "lwm-trades.recipes.finetune.epochs: epochs follow from budget.epochs and shares",
    ),
    (methods({"lwm": LWM | {"shares": {"finetune": 0.1}}}), "finetune is the last phase"),
    (with_datasets(digits_e4={"dataset": "digit"}), "unknown dataset 'digit'"),
    (with_datasets(svhn={}), "config: datasets: 'svhn' is a name of its own"),
    (with_datasets(curves={}), "config: datasets: 'curves' stands for something else"),
    (with_datasets(digits_e4={"limits": {"test": 500}}), "digits-e4.limits.test: 500 of 397"),
    (changed("archs.r", {"arch": "resnet19", "width": 4}), "unknown architecture 'resnet19'"),
    (
        changed("archs.r-max", RESNET | {"arch": "resnet18", "final_pool": "max"}),
        "config: archs.r-max: resnet18 has no option final_pool (it has: none)",
    ),
    (changed("archs.vgg16", RESNET | {"arch": "resnet18"}), "archs: 'vgg16' is a name of its own"),
    (
        with_datasets(digits_e4={})
        | {"archs": {"resnet18": RESNET, "e4-resnet18": RESNET | {"arch": "resnet18"}}},
        "files of digits/e4-resnet18 and digits-e4/resnet18 clash",
    ),
]


@pytest.mark.parametrize(("config", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_bad_variant_is_one_clear_line(config, message):
    with pytest.raises(UserError) as caught:
        planned(config)
    text = str(caught.value)
    assert message in text and "\n" not in text and text.startswith(("config", "unknown")), text
