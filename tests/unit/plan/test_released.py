"""Released checkpoints in a plan: every key of the index, its net, its claim, what is published."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from advprune.base.errors import UserError
from advprune.base.record import from_json, to_json
from advprune.plan import released
from advprune.plan.config import ROOT, load_config
from advprune.plan.protocol import Protocol
from advprune.plan.specs import COUNTED, EvaluateSpec, FetchSpec
from advprune.plan.verdicts import Verdicts

CONFIG = yaml.safe_load((ROOT / "config" / "released.yaml").read_text(encoding="utf-8"))
KEY = "HYDRA_Sehwag2020Hydra_R18_CIFAR10_US_90"
PER_METHOD = {"hydra": 5, "radmm": 12, "harp": 12, "pwoa": 12, "twinrep": 12}
PER_METHOD |= dict.fromkeys(("mad", "li20", "rst", "robustbird", "flyingbird"), 6)


def protocol(**changes):
    asked = CONFIG["released"] | changes
    return Protocol(load_config(CONFIG | {"released": asked}))


@pytest.fixture(scope="module")
def whole():
    return protocol()


def test_every_one_of_the_83_keys_is_a_row_with_its_jobs(whole):
    verdicts = Verdicts(whole)
    assert len(whole.models) == len(set(whole.models)) == 83
    assert Counter(item.method for item in whole.released.values()) == PER_METHOD
    for model, item in whole.released.items():
        spec = whole.fetch(item.key)
        assert from_json(FetchSpec, to_json(spec)) == spec
        evaluated = verdicts.evaluate(model)
        assert from_json(EvaluateSpec, to_json(evaluated)) == evaluated
        assert evaluated.row.released_of == item.method and evaluated.row.stage == "external"
        assert evaluated.budget is None
        assert verdicts.audit(model).counted == item.counted in COUNTED
        assert whole.convert(model).layout == item.method
        assert whole.source(model) == f"results/downloads/released/{item.file_name}"


def test_identifiers_and_names_of_files_are_each_s_own(whole):
    items = whole.released.values()
    for field in ("key", "file_id", "file_name"):
        assert len({getattr(item, field) for item in items}) == 83


def test_what_was_published_is_found_with_its_conditions(whole):
    shown = {item.key: item.published for item in whole.released.values()}
    assert all(found and found.eps == 0.031 and found.images == 10_000 for found in shown.values())
    assert (shown[KEY].clean, shown[KEY].autoattack) == (0.7674, 0.4334)
    structured = shown["PwoA_Jian2022Pruning_V16_CIFAR10_S_90"]
    assert (structured.clean, structured.autoattack) == (0.5771, 0.1839)


@pytest.mark.parametrize(
    ("arch", "weights"),
    [  # of convolutions and linear layers, counted in the authors' nets
        ("resnet18", 11_164_352),
        ("preact_resnet18", 11_164_352),
        ("vgg16", 15_302_848),
        ("vgg16-max", 14_715_584),
        ("vgg16-mean", 14_715_584),
        ("vgg16-mean-512", 14_977_728),
    ],
)
def test_the_nets_of_the_index_have_their_authors_size(whole, arch, weights):
    assert arch in {model.arch for model in whole.models}
    assert sum(layer.weights for layer in whole.layers("cifar10", arch)) == weights


def test_a_few_keys_may_be_asked_for_at_two_radii():
    found = protocol(keys=[KEY], datasets=["cifar10", "cifar10-published"])
    radii = {Verdicts(found).eps(model.dataset) for model in found.models}
    assert radii == {8 / 255, 0.031} and len(found.models) == 2
    texts = {Verdicts(found).evaluate(model).eps_text for model in found.models}
    assert texts == {"8/255", "0.031"}


def test_ours_stand_in_the_same_group():
    grid = [{"datasets": ["cifar10"], "archs": ["resnet18"], "methods": ["hydra"]}]
    grid[0]["unstructured"] = [0.9]
    both = Protocol(load_config(CONFIG | {"grid": grid}))
    ours = next(m for m in both.models if m.method == "hydra")
    theirs = next(m for m in both.models if m.method == "released-hydra" and m.sparsity == "0.9")
    assert (ours.dataset, ours.arch, ours.target) == (theirs.dataset, theirs.arch, theirs.target)


def test_local_copies_are_looked_for_under_the_index_s_names(tmp_path):
    root = tmp_path / "copies"
    config = load_config(CONFIG | {"released_root": str(root)})
    with pytest.raises(UserError, match=r"released_root: .*copies: no such folder"):
        released.check_root(config)
    root.mkdir()
    released.check_root(config)
    item = next(item for item in released.rows(config).values() if item.key == KEY)
    found = {"available": True, "path": f"{root}/{KEY}.pth.tar"}
    assert not released.is_there(found, item)
    Path(item.path).touch()
    assert released.is_there(found, item)
    assert not released.is_there(found | {"available": False}, item)
    assert not released.is_there(found | {"path": f"elsewhere/{KEY}.pth.tar"}, item)


def test_a_hash_of_the_lock_file_is_asked_of_its_file_alone(tmp_path):
    lock = tmp_path / "lock.csv"
    lock.write_text(f"key,file_id,size,sha256\n{KEY},x,5,abc\n", encoding="utf-8")
    found = protocol(lock=str(lock))
    asked = {item.key: found.fetch(item.key).sha256 for item in found.released.values()}
    assert asked.pop(KEY) == "abc" and set(asked.values()) == {""}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keys": ["NONE"]}, "released.keys: 'NONE' is not in"),
        ({"keys": [KEY], "datasets": ["svhn"]}, "'svhn' is not described under datasets"),
        ({"keys": [KEY], "index": "nowhere.csv"}, "nowhere.csv: No such file"),
    ],
)
def test_what_contradicts_the_rest_is_one_line(changes, words):
    with pytest.raises(UserError, match=words):
        protocol(**changes)


def test_a_net_that_the_configuration_lacks_is_named():
    archs = {name: entry for name, entry in CONFIG["archs"].items() if name != "vgg16-max"}
    with pytest.raises(UserError, match="'vgg16-max' is not described under archs"):
        Protocol(load_config(CONFIG | {"archs": archs}))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f"{KEY}.pth.tar", "../other.pt", r"file_name '\.\./other\.pt' is no plain name"),
        (f"{KEY},", "../a,", r"key '\.\./a' is no plain name"),
        (KEY.replace("90", "95"), KEY, "a key stands in it twice"),
        (f"{KEY.replace('90', '95')}.", f"{KEY}.", "a file_name stands in it twice"),
        (f"{KEY},hydra", f"{KEY},hidra", r"method 'hidra' \(known: "),
        ("0.9,weights", "0.9,weight", r"counted 'weight' \(known: weights, convolutions,"),
        ("unstructured,0.9,w", "unstructured,90,w", "sparsity '90' is no share between 0 and 1"),
        ("unstructured,0.9,w", "weights,0.9,w", r"structure 'weights' \(known: "),
    ],
)
def test_an_index_that_means_nothing_is_refused(tmp_path, old, new, message):
    index = tmp_path / "index.csv"
    text = (ROOT / "config/released/index.csv").read_text(encoding="utf-8")
    assert old in text
    index.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=rf"index\.csv: (\S+: )?{message}") as error:
        protocol(index=str(index))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("eps", [0.031, "0.031", "8/255"])
def test_a_radius_is_a_number_or_a_text(eps):
    datasets = {"cifar10": CONFIG["datasets"]["cifar10"] | {"eps": eps}}
    config = load_config(CONFIG | {"datasets": datasets})
    assert config["datasets"]["cifar10"]["eps"] == str(eps)
    assert load_config(config) == config


@pytest.mark.parametrize("eps", [0, 1.5, -0.1, "0/255", "eight", "0.0", "1e-3x"])
def test_what_is_no_radius_is_refused(eps):
    datasets = {"cifar10": CONFIG["datasets"]["cifar10"] | {"eps": eps}}
    with pytest.raises(UserError, match="eps"):
        load_config(CONFIG | {"datasets": datasets})
