"""What a changed file or setting plans: by what Snakemake recorded of a run, and by dry-runs.

Which jobs a file is the code of, and which settings they are of, is told in two tables of
tests/unit/identity, without Snakemake. Here its records hold the digests and specifications that
these tables ask for, a third table tells what lies below each rule, and dry-runs of every level
show that it plans accordingly.
"""

import base64
import json
import os
import shutil
import sys

import pytest

from advprune.plan import code
from helpers import planning
from helpers.checkout import ROOT, Checkout, tiny_config
from helpers.planning import PAGES

pytestmark = pytest.mark.slow
ANSWERS = {"best_known", "agreement", "survey"}
DRAWN = {"tidy", "figures", "leaderboard"}  # the page shows them
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


@pytest.fixture
def checkout(finished, tmp_path):
    return finished.copy(tmp_path / "copy")


@pytest.fixture(scope="module")
def records(finished):
    """What Snakemake recorded of every output."""
    folder = finished.folder / ".snakemake/metadata"
    found = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        # long names are split into folders, each after an @
        name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
        text = path.read_text(encoding="utf-8")
        found[base64.urlsafe_b64decode(name).decode()] = json.loads(text)
    return found


def rules(planned):
    return {rule for rule, _ in planned}


def test_snakemake_has_the_specifications_and_digests_that_are_asked_for(records):
    """And so plans what the tables of tests/unit/identity say, whose jobs these are."""
    known = set()
    for result in planning.results(tiny_config()):
        asked = set(map(repr, planning.identity(result)))
        for name in result.files:
            assert asked <= set(records[name]["params"]), name
            assert records[name]["rule"] == result.script
            known.add(name)
    for name in records.keys() - known:
        rule = records[name]["rule"]
        if rule in PAGES:
            assert repr(code.digest(rule, None)) in records[name]["params"], name
    assert rules_of(records) == EVERYTHING | PAGES | {"check_net"}


def rules_of(records):
    return {record["rule"] for record in records.values()}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("dataset", EVERYTHING),
        ("check_net", TRAINED | {"check_net"}),
        ("pretrain", TRAINED),
        ("prune", PRUNED),
        ("finetune", FINETUNED),
        ("audit", {"audit"} | NUMBERS | COSTS),
        ("autoattack", {"autoattack"} | CHECKED),
        ("hofmn_tune", TUNED),
        ("hofmn", MEASURED),
        ("reliability", CHECKED),
        ("pgd", {"pgd"} | NUMBERS),
        ("evaluate", NUMBERS),
        ("costs", COSTS),
        ("thin_ice", ICE),
        ("gather", GATHERED | PRICED),
        ("table", {"table"} | DRAWN),
        ("tidy", DRAWN),
        ("overlap", {"overlap", "figures", "leaderboard"}),
        ("figures", {"figures", "leaderboard"}),
        ("origins", {"origins", "leaderboard"}),
        ("compare", {"compare"}),
        ("curves", {"curves"}),
        ("leaderboard", {"leaderboard"}),
        ("best_known", {"best_known", "leaderboard"}),
        ("agreement", {"agreement", "leaderboard"}),
        ("survey", {"survey", "leaderboard"}),
    ],
)
def test_what_lies_below_a_rule(records, rule, expected):
    assert (
        rules_of(below(records, {n for n, r in records.items() if r["rule"] == rule})) == expected
    )


@pytest.mark.parametrize(("part", "expected"), [("train", TRAINED), ("test", TESTED)])
def test_what_lies_below_images(records, part, expected):
    file = f"results/tiny/digits/{part}.safetensors"
    assert rules_of(below(records, {file})) == expected | {"dataset"}


def below(records, changed):
    """Records of these outputs and of all that is made from them."""
    found, more = set(), set(changed)
    while more:
        found |= more
        more = {n for n, r in records.items() if not found.isdisjoint(r["input"])} - found
    return {name: records[name] for name in found}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("scripts/advprune/data/prepare.py", EVERYTHING),
        ("scripts/advprune/models/nets/resnet18.py", TRAINED | {"check_net"}),
        ("scripts/advprune/methods/lwm.py", PRUNED),
        ("scripts/hofmn_tune.py", TUNED),
        ("scripts/advprune/evaluation/evaluate.py", NUMBERS),
        ("scripts/advprune/report/paired.py", {"compare", "survey", "leaderboard"} | DRAWN),
        ("config/published/leaderboard.csv", {"agreement", "leaderboard"}),
    ],
)
def test_a_line_more_in_a_file_plans_its_users_and_what_lies_below(checkout, path, expected):
    checkout.change(path)
    assert rules(checkout.planned()) == expected


def test_what_concerns_no_job_plans_nothing(checkout):
    """All at once: modules of others, comments, layout, new modules, new options, documents."""
    library = "scripts/advprune"
    for path in (
        *("scripts/external.py", "scripts/other_attacks.py", "scripts/corruptions.py"),
        *("scripts/check_net.py", f"{library}/evaluation/net_check.py"),
        *(f"{library}/models/nets/vgg16.py", f"{library}/data/sets/cifar100.py"),
        *(f"{library}/methods/awt.py", f"{library}/models/convert.py", f"{library}/cli/verify.py"),
        *(f"{library}/{name}.py" for name in ("identity/judge", "plan/protocol", "plan/machine")),
        # an environment counts where environments are used
        *("envs/train.yaml", "config/methods/awt.yaml", "config/config.yaml", "config/all.yaml"),
        "workflow/profiles/default/config.yaml",
    ):
        checkout.change(path)
    checkout.edit(f"{library}/base/progress.py", "import tqdm\n", "import tqdm  # bar\n")
    checkout.edit(f"{library}/pruning/masks.py", '"""Masks: which weights stay.', '"""Masks are.')
    checkout.edit(f"{library}/methods/lwm.py", "return ", "return  ")
    checkout.edit("scripts/prune.py", "def main() -> None:\n", "def main() -> None:\n\n")
    last = "    objective: dict[str, Any]\n    recipe: Recipe\n"
    checkout.edit(f"{library}/plan/specs.py", last, last + "    clip: float = 0.0\n")
    for kind in ("training/objectives/pgd", "data/sets/digits", "models/nets/resnet18"):
        old = checkout.folder / library / f"{kind}.py"
        shutil.copy(old, old.with_name("another.py"))
    for name in ("README.md", "docs/digits.md", "tests/unit/test_new.py", "Makefile"):
        file = checkout.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("changed", encoding="utf-8")
    assert checkout.planned() == set()


def test_settings_that_concern_no_result_plan_nothing(checkout):
    config = tiny_config() | {"device": "auto", "training_precision": "fp32"}
    config |= {"data_root": "elsewhere", "overrides": {"li20": {"params": {}}}}
    config["evaluation"]["search_precision"] = "fp32"
    checkout.configure(config)
    assert checkout.planned() == set()


def test_another_number_of_threads_plans_what_uses_torch(checkout):
    checkout.configure(tiny_config() | {"threads": 2})
    assert rules(checkout.planned()) == TRAINED


def test_another_number_of_images_plans_what_uses_them(checkout):
    """Snakemake plans the very files that the tables ask of specifications, and all pages."""
    config = tiny_config()
    config["datasets"]["digits"]["limits"]["test"] = 11
    checkout.configure(config)
    assert rules(checkout.planned()) == TESTED | {"dataset"}


def test_a_new_variant_plans_its_own_jobs_and_the_pages(checkout):
    """The very files that the table of settings finds, and every page."""
    config = tiny_config()
    variant = {"as": "lwm-trades", "structures": ["filters"], "objective": {"name": "trades"}}
    config["grid"][0]["methods"].append({"lwm": variant})
    checkout.configure(config)
    planned = checkout.planned()
    own = {(result.script, name) for result in planning.planned(config) for name in result.files}
    found = {(rule, name) for rule, name in planned if rule not in PAGES}
    assert own <= found and all(name.endswith(".card.json") for _, name in found - own)
    assert rules(planned) == TRAINED | PAGES


def test_another_data_file_plans_what_uses_it(checkout):
    data = checkout.folder / "results/tiny/digits/test.safetensors"
    data.write_bytes(b"other images")
    assert rules(checkout.planned()) == TESTED


def test_results_copied_into_a_fresh_clone_plan_nothing(finished, tmp_path):
    clone = Checkout(tmp_path / "clone", tiny_config())
    for part in ("results", ".snakemake"):  # files get new time stamps, as with scp or rsync
        copy = shutil.copy
        shutil.copytree(finished.folder / part, clone.folder / part, copy_function=copy)
    assert clone.planned() == set()


def test_a_harmless_edit_can_be_accepted(checkout):
    """The recipe of docs/staleness.md: --touch, for all files or for one."""
    checkout.change("scripts/advprune/pruning/masks.py")
    checkout.snakemake("--touch", "--cores", "1")
    assert checkout.planned() == set()
    checkout.change("scripts/advprune/report/records.py")
    checkout.snakemake("results/tiny/comparison.csv", "--touch", "--cores", "1")
    assert rules(checkout.planned()) == PAGES - {"gather", "compare", "overlap"}


def test_an_environment_plans_its_jobs_where_environments_are_used(checkout):
    standin = ROOT / "tests" / "helpers" / "conda" / "bin"
    path = os.pathsep.join([str(standin), os.path.dirname(sys.executable), os.environ["PATH"]])
    plain = checkout.snakemake

    def snakemake(*arguments, **options):
        return plain(*arguments, "--sdm", "conda", environment={"PATH": path}, **options)

    checkout.snakemake = snakemake
    checkout.snakemake("--touch", "--forceall", "--cores", "1")
    assert checkout.planned() == set()
    checkout.change("envs/report.yaml")
    assert rules(checkout.planned()) == NUMBERS | ICE | PRICED
