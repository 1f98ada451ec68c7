"""What was measured in different ways does not become one table, one comparison or one mean."""

import copy
import sys

import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.base.files import write_json
from advprune.report import findings, records
from advprune.report.figures import thin_ice
from helpers.checkout import ROOT
from helpers.report_samples import dense, evaluation, failed, saved

SETTINGS = {
    "autoattack": {"arch": "resnet18", "seed": 0, "eps": 0.2, "version": "standard", "batch": 200},
    "hofmn": {"arch": "resnet18", "steps": 100, "batch": 200},
    "hofmn_tune": {"arch": "resnet18", "seed": 0, "eps": 0.2, "trials": 12},
    "width": 8,
    "budget": 40,
}
OTHERS = {
    "radius": ("threat", {"eps": 0.25, "eps_text": "1/4"}, "eps: 0.2 and 0.25"),
    "norm": ("threat", {"norm": "L2"}, "norm: Linf and L2"),
    "version": ("autoattack", {"version": "custom"}, "autoattack.version: standard and custom"),
    "precision": ("autoattack", {"precision": "bf16"}, "autoattack.precision: default and bf16"),
    "steps": ("hofmn", {"steps": 50}, "hofmn.steps: 100 and 50"),
    "trials": ("hofmn_tune", {"trials": 1}, "hofmn_tune.trials: 12 and 1"),
}


def judged(*arguments, **extra):
    return evaluation(*arguments, settings=copy.deepcopy(SETTINGS), **extra)


def other(kind, record):
    place, fields, _ = OTHERS[kind]
    (record if place == "threat" else record["settings"])[place] |= fields
    return record


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("second", [("hydra",), ("lwm",)])
def test_other_attacks_are_refused_among_seeds_and_among_methods(tmp_path, kind, second):
    paths = saved(tmp_path, [judged(), other(kind, judged(*second, seed=1))])
    with pytest.raises(UserError) as error:
        records.load(paths)
    assert str(error.value) == f"digits, resnet18: cannot be joined: {OTHERS[kind][2]}"


@pytest.mark.parametrize(("key", "value"), [("images", 100), ("width", 16)])
def test_other_images_and_another_width_are_refused(tmp_path, key, value):
    second = judged("lwm")
    (second if key == "images" else second["settings"])[key] = value
    with pytest.raises(UserError, match=f"cannot be joined: {key}: .* and {value}"):
        records.load(saved(tmp_path, [judged(), second]))


def test_seeds_share_a_budget_and_methods_need_not(tmp_path):
    longer = judged("lwm")
    longer["settings"]["budget"] = 80
    assert len(records.load(saved(tmp_path, [judged(), longer]))) == 2
    longer = judged(seed=1)
    longer["settings"]["budget"] = 80
    with pytest.raises(UserError, match=r"hydra, .*cannot be joined: budget: 40 and 80"):
        records.load(saved(tmp_path, [judged(), longer]))


def test_what_may_differ_is_joined(tmp_path):
    """Seeds, another dataset's radius, the text of a radius, and a model that failed."""
    second = judged(seed=1)
    second["settings"]["autoattack"]["seed"] = 1
    second["threat"]["eps_text"] = "2/10"
    elsewhere = other("radius", judged())
    elsewhere["model"]["dataset"] = "svhn"
    nothing = failed(threat=None, images=None)
    given = [judged(), second, elsewhere, nothing, dense(), judged(structure="filters")]
    assert len(records.load(saved(tmp_path, given))) == 6


def test_an_earlier_versions_evaluation_is_held_to_what_it_tells(tmp_path):
    assert len(records.load(saved(tmp_path, [judged(), evaluation("lwm")]))) == 2
    old = evaluation("lwm", threat={"eps": 0.1, "eps_text": "1/10", "norm": "Linf"})
    with pytest.raises(UserError, match=r"cannot be joined: eps: 0.2 and 0.1"):
        records.load(saved(tmp_path, [judged(), old]))


JOINING = {  # scripts with their options
    "agreement": ["published", "csv", "ranks", "pdf", "png", "section"],
    "beside": ["csv", "section"],
    "best_known": ["csv", "pdf", "png", "section"],
    "compare": ["csv", "markdown"],
    "curves": ["pdf", "png"],
    "leaderboard": ["csv"],
    "survey": ["effects", "top", "shared", "issues", "pdf", "png", "section"],
    "tidy": ["models", "parquet", "images", "images-parquet", "curves", "layers", "tex"],
}


@pytest.mark.parametrize("script", JOINING)
def test_every_script_that_joins_evaluations_refuses(tmp_path, script, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop(script, None)
    joining = __import__(script)
    paths = map(str, saved(tmp_path, [judged(), other("radius", judged(seed=1))]))
    files = [a for name in JOINING[script] for a in (f"--{name}", str(tmp_path / name))]
    with pytest.raises(UserError, match=r"eps: 0\.2 and 0\.25"):
        joining.main(["--evaluations", *paths, *files])
    assert not any((tmp_path / name).exists() for name in JOINING[script])


def test_these_are_all_scripts_that_join_evaluations():
    found = {p.stem for p in (ROOT / "scripts").glob("*.py") if "records.load(" in p.read_text()}
    assert found == set(JOINING)


def test_findings_on_other_images_are_refused():
    row = {"method": "lwm", "dataset": "digits", "arch": "resnet18", "structure": "filters"}
    row |= {"sparsity": 0.5, "seed": 0, "attack": "PGD", "corruption": "fog", "severity": 1}
    few, many = (row | {"images": n, "correct": 1, "accuracy": 1 / n} for n in (2, 4))
    for table in (findings.other_attacks, findings.corrupted):
        assert len(table([[few], [few | {"seed": 1}]])) == 2
        with pytest.raises(UserError, match="digits, resnet18: cannot be joined: images: 2 and 4"):
            table([[few], [many | {"seed": 1}]])


def test_distances_of_other_attacks_are_not_compared(tmp_path):
    for name, steps in (("dense", 100), ("pruned", 100), ("longer", 200)):
        spec = {"arch": "resnet18", "steps": steps, "batch": 20}
        write_json(tmp_path / name / "hofmn-0.card.json", {"spec": spec})
    folders = [str(tmp_path / name) for name in ("dense", "pruned", "longer", "nothing here")]
    thin_ice.check_attacks([*folders[:2], folders[3]])
    with pytest.raises(UserError, match="cannot be joined: steps: 100 and 200"):
        thin_ice.check_attacks(folders)


def test_distances_of_other_images_are_not_compared():
    one, same, other = (pd.DataFrame({"official_index": i}) for i in ([4, 7], [4, 7], [4, 9]))
    thin_ice.check_images({"dense": one, "pruned": same})
    for table in (other, one[:1]):
        with pytest.raises(UserError, match="dense and else: cannot be joined: other test images"):
            thin_ice.check_images({"dense": one, "pruned": same, "else": table})
