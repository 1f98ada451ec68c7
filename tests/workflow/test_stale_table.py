"""A table of changes and the exact rules that each makes stale, over dry-runs.

The results are pretended: a plan depends on what Snakemake recorded, not on what the files hold.
Which modules each script uses is told in tests/unit/test_users.py; here each kind has one line.
"""

import os
import shutil
import sys

import pytest

from helpers.checkout import ROOT, Checkout, tiny_config

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stale table")]
ANSWERS = {"best_known", "agreement", "survey"}
DRAWN = {"tidy", "figures", "leaderboard"}  # the page shows them
PAGES = {"compare", "table", "curves", "thin_ice", "origins", "leaderboard", "overlap"}
PAGES |= ANSWERS | DRAWN
SUMMARIES = {"gather"} | PAGES
GATHERED = {"gather", "compare", "curves", "origins", "leaderboard", "overlap"} | ANSWERS | DRAWN
NUMBERS = {"evaluate"} | GATHERED
CHECKED = {"reliability"} | NUMBERS
ICE = {"thin_ice", "leaderboard"}  # distances before and after pruning
PRICED = {"gather", "table", "leaderboard"} | DRAWN
COSTS = {"costs"} | PRICED
MEASURED = {"hofmn"} | CHECKED | ICE
TUNED = {"hofmn_tune"} | MEASURED
TESTED = {"autoattack", "pgd"} | MEASURED
ATTACKED = {"autoattack", "pgd"} | TUNED
AUDITED = ATTACKED | {"audit"} | COSTS
FINETUNED = AUDITED | {"finetune"}
PRUNED = FINETUNED | {"prune"}
TRAINED = PRUNED | {"pretrain"}
EVERYTHING = TRAINED | {"dataset"}


@pytest.fixture(scope="module")
def pretended(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("stale") / "repo", tiny_config())
    checkout.pretend()
    return checkout


@pytest.fixture
def checkout(pretended):
    """The checkout itself, put back afterwards: its code and configuration, not its results."""
    yield pretended
    pretended.take_code()
    pretended.configure(tiny_config())


def rules(planned):
    return {rule for rule, _ in planned}


def test_pretended_results_plan_nothing(checkout):
    assert checkout.planned() == set()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # every script
        ("scripts/dataset.py", EVERYTHING),
        ("scripts/pretrain.py", TRAINED),
        ("scripts/prune.py", PRUNED),
        ("scripts/finetune.py", FINETUNED),
        ("scripts/audit.py", {"audit"} | NUMBERS | COSTS),
        ("scripts/autoattack.py", {"autoattack"} | CHECKED),
        ("scripts/hofmn_tune.py", TUNED),
        ("scripts/hofmn.py", MEASURED),
        ("scripts/reliability.py", CHECKED),
        ("scripts/pgd.py", {"pgd"} | NUMBERS),
        ("scripts/thin_ice.py", ICE),
        ("scripts/costs.py", COSTS),
        ("scripts/table.py", {"table", "leaderboard"} | DRAWN),
        ("scripts/tidy.py", DRAWN),
        ("scripts/overlap.py", {"overlap", "figures", "leaderboard"}),
        ("scripts/figures.py", {"figures", "leaderboard"}),
        ("scripts/evaluate.py", NUMBERS),
        ("scripts/gather.py", GATHERED | PRICED),
        ("scripts/compare.py", {"compare"}),
        ("scripts/curves.py", {"curves"}),
        ("scripts/leaderboard.py", {"leaderboard"}),
        ("scripts/best_known.py", {"best_known", "leaderboard"}),
        ("scripts/agreement.py", {"agreement", "leaderboard"}),
        ("scripts/survey.py", {"survey", "leaderboard"}),
        ("scripts/external.py", set()),
        ("scripts/advprune/cli/verify.py", set()),
        ("scripts/other_attacks.py", set()),  # off in this run
        ("scripts/corruptions.py", set()),
        # one module of each kind
        ("scripts/advprune/base/files.py", EVERYTHING),
        ("scripts/advprune/data/prepare.py", EVERYTHING),
        ("scripts/advprune/models/nets/resnet18.py", TRAINED | {"check_net"}),
        ("scripts/advprune/models/nets/vgg16.py", set()),  # not in this grid
        ("scripts/advprune/data/sets/digits.py", EVERYTHING),
        ("scripts/advprune/data/sets/cifar100.py", set()),
        ("scripts/advprune/training/loop.py", TRAINED),
        ("scripts/advprune/pruning/masks.py", PRUNED),
        ("scripts/advprune/methods/base.py", PRUNED),
        ("scripts/advprune/methods/lwm.py", PRUNED),
        ("scripts/advprune/methods/awt.py", set()),  # not in this grid
        ("scripts/advprune/compact/convert.py", ATTACKED | COSTS),
        ("scripts/advprune/attacks/fmn.py", TUNED),
        ("scripts/advprune/attacks/square.py", {"autoattack"} | CHECKED),
        ("scripts/advprune/evaluation/evaluate.py", NUMBERS),
        ("scripts/advprune/evaluation/best_known.py", NUMBERS),
        ("scripts/advprune/report/answers/effects.py", {"survey", "leaderboard"}),
        ("scripts/advprune/evaluation/pgd.py", {"pgd"} | NUMBERS),
        # a changed check concerns no net that has passed it
        ("scripts/check_net.py", set()),
        ("scripts/advprune/evaluation/net_check.py", set()),
        ("scripts/advprune/base/provenance.py", EVERYTHING),
        ("scripts/advprune/identity/judge.py", set()),
        ("scripts/origins.py", {"origins", "leaderboard"}),
        ("scripts/advprune/report/records.py", PAGES - {"overlap"}),
        ("scripts/advprune/report/paired.py", {"compare", "survey", "leaderboard"} | DRAWN),
        ("scripts/advprune/report/costs.py", {"table", "leaderboard"} | DRAWN),
        ("scripts/advprune/models/precision.py", TRAINED),
        ("scripts/advprune/report/figures/style.py", {"curves", "figures"} | ICE | ANSWERS),
        ("scripts/advprune/report/page/document.py", {"leaderboard"}),
        ("scripts/advprune/plan/protocol.py", set()),
        ("scripts/advprune/plan/machine.py", set()),
        ("scripts/advprune/models/convert.py", set()),
        # an environment counts where environments are used
        ("envs/train.yaml", set()),
        ("config/methods/awt.yaml", set()),
        ("config/config.yaml", set()),
        ("config/all.yaml", set()),
        ("config/published/leaderboard.csv", {"agreement", "leaderboard"}),
        ("workflow/profiles/default/config.yaml", set()),
    ],
)
def test_a_line_more_in_a_file_plans_its_users_only(checkout, path, expected):
    checkout.change(path)
    assert rules(checkout.planned()) == expected


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (
            "scripts/advprune/base/progress.py",
            "from tqdm import tqdm\n",
            "from tqdm import tqdm  # bar\n",
        ),
        (
            "scripts/advprune/pruning/masks.py",
            '"""Masks: which weights stay.',
            '"""Masks are these.',
        ),
        ("scripts/advprune/methods/lwm.py", "return ", "return  "),
        ("scripts/prune.py", "def main() -> None:\n", "def main() -> None:\n\n"),
    ],
)
def test_comments_docstrings_and_layout_plan_nothing(checkout, path, old, new):
    checkout.edit(path, old, new)
    assert checkout.planned() == set()


def test_a_new_objective_plans_nothing(checkout):
    folder = checkout.folder / "scripts/advprune/training/objectives"
    (folder / "mine.py").write_text(
        (folder / "pgd.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert checkout.planned() == set()


def test_a_changed_objective_plans_those_who_train_with_it(checkout):
    checkout.change("scripts/advprune/training/objectives/trades.py")
    assert own({p for p in checkout.planned() if p[0] == "prune"}, 4) == {"hydra"}


def test_a_new_option_at_its_default_plans_nothing(checkout):
    last = "    objective: dict[str, Any]\n    recipe: Recipe\n"
    checkout.edit("scripts/advprune/plan/specs.py", last, last + "    clip: float = 0.0\n")
    assert checkout.planned() == set()


def test_a_new_dataset_and_a_new_net_plan_nothing(checkout):
    for kind, old in (("data/sets", "digits"), ("models/nets", "resnet18")):
        folder = checkout.folder / "scripts/advprune" / kind
        shutil.copy(folder / f"{old}.py", folder / "another.py")
    assert checkout.planned() == set()


def put(config, place, value):
    """Set an entry; recipes of the phases are one table in `tiny_config`, and are told apart."""
    recipes = config["budget"]["recipes"]
    config["budget"]["recipes"] = {phase: dict(recipe) for phase, recipe in recipes.items()}
    *way, last = place.split(".")
    for key in way:
        config = config[int(key) if key.isdigit() else key]
    config[last] = value


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("device", "auto", set()),
        ("threads", 2, TRAINED),
        ("training_precision", "fp32", set()),
        ("training_precision", "bf16", TRAINED),
        ("data_root", "elsewhere", set()),
        ("datasets.digits.eps", "1/3", TRAINED),
        ("datasets.digits.training_attack.steps", 2, TRAINED),
        ("budget.epochs", 7, PRUNED),  # two of pretraining and of a search as before
        ("budget.recipes.pretrain.lr", 0.06, TRAINED),
        ("datasets.digits.limits.train", 65, TRAINED | {"dataset"}),
        ("datasets.digits.limits.test", 11, TESTED | {"dataset"}),
        ("archs.resnet18.width", 6, TRAINED | {"check_net"}),
        ("evaluation.autoattack.batch", 5, {"autoattack", "pgd"} | CHECKED | COSTS),
        ("evaluation.autoattack.shard", 5, {"autoattack"} | CHECKED),
        ("evaluation.search_precision", "fp32", set()),
        ("evaluation.hofmn.trials", 3, TUNED),
        ("evaluation.hofmn.shard", 5, MEASURED),
        ("overrides", {"li20": {"params": {}}}, set()),
    ],
)
def test_a_value_of_the_configuration(checkout, place, value, expected):
    config = tiny_config()
    put(config, place, value)
    checkout.configure(config)
    assert rules(checkout.planned()) == expected


def own(planned, place):
    """What the models' own files have at a place of their path."""
    return {name.split("/")[place] for rule, name in planned if rule not in SUMMARIES}


@pytest.mark.parametrize(
    ("kind", "name", "entry"),
    [
        ("archs", "wrn_28_4", {"width": 4}),
        (
            "datasets",
            "cifar100",
            {
                "eps": "8/255",
                "training_attack": {"step": "2/255", "steps": 1},
                "limits": {"train": 200, "val": 16, "test": 10},
            },
        ),
    ],
)
def test_another_net_or_dataset_plans_its_own_models_and_the_pages(checkout, kind, name, entry):
    config = tiny_config()
    config[kind][name] = entry
    config["grid"][0][kind].append(name)
    checkout.configure(config)
    planned = checkout.planned()
    pages = PAGES | {"gather"}
    assert {rule for rule, path in planned if f"/{name}" not in path} <= pages
    assert {"pretrain", "prune", "autoattack", "check_net"} <= rules(planned)


def test_a_new_variant_plans_only_its_own_jobs(checkout):
    config = tiny_config()
    variant = {"as": "lwm-trades", "structures": ["filters"], "objective": {"name": "trades"}}
    config["grid"][0]["methods"].append({"lwm": variant})
    checkout.configure(config)
    planned = checkout.planned()
    assert own({p for p in planned if p[0] != "pretrain"}, 4) == {"lwm-trades"}
    assert rules(planned) == PRUNED | {"pretrain", "autoattack", "hofmn_tune"} | PAGES


def test_a_dataset_at_another_radius_plans_no_images(checkout):
    config = tiny_config()
    config["datasets"]["digits-e4"] = config["datasets"]["digits"] | {
        "dataset": "digits",
        "eps": "1/4",
    }
    config["grid"][0]["datasets"].append("digits-e4")
    checkout.configure(config)
    planned = checkout.planned()
    assert own(planned, 2) == {"digits-e4"}
    assert rules(planned) == TRAINED | {"check_net"} | PAGES


def test_a_changed_share_plans_those_who_search_before_they_train(checkout):
    config = tiny_config()
    config["budget"]["shares"]["prune"] = 0.5
    checkout.configure(config)
    planned = checkout.planned()
    assert own(planned, 4) == {"hydra", "radmm", "li20"}
    assert {name.split("/")[4] for rule, name in planned if rule == "prune"} == {
        *("hydra", "radmm", "li20")
    }


def test_a_recipe_of_a_phase_concerns_those_who_train_in_it(checkout):
    config = tiny_config()
    train = config["budget"]["recipes"]["train"] | {"lr": 0.06}
    config["budget"]["recipes"] = config["budget"]["recipes"] | {"train": train}
    checkout.configure(config)
    planned = checkout.planned()
    assert own(planned, 4) == {"li20", "flyingbird"}
    assert {name.split("/")[4] for rule, name in planned if rule == "prune"} == {"flyingbird"}


@pytest.mark.parametrize(
    ("place", "value", "part", "expected"),
    [
        ("grid.0.methods", ["dense", "hydra", "li20", "random"], 4, {"random"}),
        ("grid.0.unstructured", [0.8, 0.9], 5, {"unstructured-0.9"}),
        ("grid.0.structured", [0.25, 0.5], 5, {"filters-0.25"}),
        ("seeds", [0, 1], 6, {"seed1"}),
    ],
)
def test_what_is_added_is_planned_and_no_more(checkout, place, value, part, expected):
    config = tiny_config()
    put(config, place, value)
    checkout.configure(config)
    planned = {(r, n) for r, n in checkout.planned() if r != "pretrain"}
    assert own(planned, part) >= expected and rules(planned) > PAGES
    if place != "grid.0.methods":
        assert own(planned, part) == expected
    else:
        assert {m for m in own(planned, 4) if m != "random"} == set()


@pytest.mark.parametrize(("part", "expected"), [("train", TRAINED), ("test", TESTED)])
def test_another_data_file_plans_what_uses_it(checkout, part, expected):
    data = checkout.folder / f"results/tiny/digits/{part}.safetensors"
    before = data.read_bytes()
    try:
        data.write_bytes(b"other images")
        assert rules(checkout.planned()) == expected
    finally:
        data.write_bytes(before)


def test_results_copied_into_a_fresh_clone_plan_nothing(checkout, tmp_path):
    clone = Checkout(tmp_path / "clone", tiny_config())
    for part in ("results", ".snakemake"):  # files get new time stamps, as with scp or rsync
        copy = shutil.copy
        shutil.copytree(checkout.folder / part, clone.folder / part, copy_function=copy)
    assert clone.planned() == set()


def test_readme_docs_and_tests_plan_nothing(checkout):
    for name in ("README.md", "docs/digits.md", "tests/unit/test_new.py", "Makefile"):
        file = checkout.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("changed", encoding="utf-8")
    assert checkout.planned() == set()


def test_a_harmless_edit_can_be_accepted(tmp_path, checkout):
    """The recipe of docs/staleness.md: --touch, for all files or for one."""
    copy = checkout.copy(tmp_path / "repo")
    copy.change("scripts/advprune/pruning/masks.py")
    assert "prune" in rules(copy.planned())
    copy.snakemake("--touch", "--cores", "1")
    assert copy.planned() == set()
    copy.change("scripts/advprune/report/records.py")
    copy.snakemake("results/tiny/comparison.csv", "--touch", "--cores", "1")
    assert rules(copy.planned()) == PAGES - {"compare", "overlap"}


def test_an_environment_plans_its_jobs_where_environments_are_used(tmp_path, checkout):
    standin = ROOT / "tests" / "helpers" / "conda" / "bin"
    path = os.pathsep.join([str(standin), os.path.dirname(sys.executable), os.environ["PATH"]])
    conda = checkout.copy(tmp_path / "repo")
    plain = conda.snakemake

    def snakemake(*arguments, **options):
        return plain(*arguments, "--sdm", "conda", environment={"PATH": path}, **options)

    conda.snakemake = snakemake
    conda.snakemake("--touch", "--forceall", "--cores", "1")
    assert conda.planned() == set()
    conda.change("envs/report.yaml")
    assert rules(conda.planned()) == NUMBERS | ICE | PRICED
