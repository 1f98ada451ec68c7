"""A released file is told by its tensors alone, and refused where they could mean two things."""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from advprune.base.errors import UserError
from advprune.models.foreign.chosen import check, chosen
from advprune.models.foreign.convert import convert
from advprune.models.foreign.fitted import fitted
from advprune.models.foreign.frames import PARTS, frame
from advprune.models.foreign.layouts import known, load
from advprune.models.foreign.operations import learned_share
from advprune.models.foreign.outline import Outline, outline
from advprune.models.foreign.pickles import TensorInfo
from advprune.models.foreign.reading import Asked
from advprune.models.foreign.recognise import UnknownLayoutError, recognise
from advprune.models.registry import NetSpec, build
from helpers.foreign import Code
from helpers.released import LAYOUTS, state_of, synthetic

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
SHAPES = json.loads((Path(__file__).parent / "released_shapes.json").read_text(encoding="utf-8"))


def match_of(path, layout=None):
    return recognise(outline(path), layout)


def spec_of(path, layout=None):
    return NetSpec(**match_of(path, layout).net, size=32, **PLAIN)


def converted(path, layout=None, sparsity=0.5):
    return convert(path, spec_of(path, layout), Asked(layout=layout, moments="leave"), sparsity)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_has_the_tensors_that_were_counted_in_its_authors_net(layout):
    """Hashes of names and shapes of the nets as their authors' classes make them, at full width."""
    shapes = fitted(known()[layout], 64, 10, 3).shapes
    text = json.dumps(sorted([name, list(shape)] for name, shape in shapes.items()))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == SHAPES[layout]


def test_every_layout_that_was_counted_is_known():
    assert sorted(SHAPES) == LAYOUTS and len(LAYOUTS) == 39


@pytest.mark.parametrize("layout", ["hydra-resnet18", "flyingbird-resnet18", "hydra-vgg16"])
def test_a_frame_is_its_net(layout):
    fit = fitted(known()[layout], 8, 10, 3)
    net = build(NetSpec(**fit.net, size=32, **PLAIN))
    state = {
        n: tuple(t.shape) for n, t in net.state_dict().items() if not n.startswith("normalize")
    }
    assert state == {
        f"{layer.name}.{part}": layer.shape(words)
        for layer in frame(fit.net)
        for part, words in PARTS[layer.kind].items()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_is_recognised_by_names_and_shapes_alone(layout):
    shapes = fitted(known()[layout], 4, 10, 3).shapes
    table = {f"module.{n}": TensorInfo("float32", shape, (n,)) for n, shape in shapes.items()}
    found = recognise(Outline(Path("net.pt"), "torch", {"state_dict": table}))
    assert layout in found.layouts and found.net["width"] == 4


def test_other_classes_and_channels_are_read_off_a_file(tmp_path):
    synthetic("mad-vgg16", tmp_path / "net.pt", 16, sizes=(100, 1))
    assert match_of(tmp_path / "net.pt").net == {
        **{"arch": "vgg16", "width": 4, "classes": 100, "channels": 1},
        **{"final_pool": "mean", "hidden": []},
    }


def test_equal_names_with_other_normalisation_need_a_word(tmp_path):
    synthetic("radmm-vgg16", tmp_path / "net.pt", 16)
    found, net = outline(tmp_path / "net.pt"), spec_of(tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"mean and std are missing, and not certain .*say layout"):
        check(found, Asked(), vars(net), 0.5, moments=False)
    check(found, Asked(), vars(net), 0.5, moments=True)
    check(found, Asked(layout="radmm"), vars(net), 0.5, moments=False)
    assert match_of(tmp_path / "net.pt", "radmm").std == (1.0,) * 3
    assert match_of(tmp_path / "net.pt", "flyingbird").std == (0.247, 0.2435, 0.2616)


def test_normalisation_that_nobody_knows_is_asked_for(tmp_path):
    synthetic("rst-resnet18", tmp_path / "net.pt", 16)
    found, net = outline(tmp_path / "net.pt"), spec_of(tmp_path / "net.pt")
    with pytest.raises(
        UserError, match=r"not certain .*0\.247, 0\.243, 0\.262.*: say mean and std"
    ):
        check(found, Asked(layout="rst"), vars(net), 0.5, moments=False)


def without(name):
    return lambda state: state.pop(name)


def with_more(name, *shape):
    return lambda state: state.update({name: torch.ones(shape)})


@pytest.mark.parametrize(
    ("layout", "asked", "change", "message"),
    [
        ("mad-resnet18", "hydra", None, "is not of layout hydra but of mad-resnet18"),
        ("mad-resnet18", "sgd", None, "layout 'sgd' is not known"),
        ("hydra-vgg16-scores", "mad", None, "not of layout mad but of hydra-vgg16-scores"),
        ("mad-vgg16", None, without("classifier.mask_bias"), "mad-vgg16, but it lacks class"),
        ("hydra-vgg16", None, with_more("features.0.mask", 3), "vgg16, but it has features.0.mask"),
        (
            "rst-vgg16",
            None,
            with_more("features.3.scores", 3),
            r"3.scores \[3\] for \[4, 4, 3, 3\]",
        ),
        ("hydra-resnet18-scores", None, without("conv1.popup_scores"), "lacks conv1.popup_scores"),
    ],
)
def test_what_is_no_layout_is_refused_with_the_nearest(layout, asked, change, message, tmp_path):
    synthetic(layout, tmp_path / "net.pt", 16, change=change)
    with pytest.raises(UserError, match=message) as error:
        match_of(tmp_path / "net.pt", asked)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_masks_that_a_layout_does_not_know_of_are_refused(tmp_path):
    state = state_of("hydra-vgg16", 16)
    masks = {name: torch.ones_like(t) for name, t in state.items() if t.ndim > 1}
    torch.save({"state_dict": state, "masks": masks}, tmp_path / "net.pt")
    with pytest.raises(UserError, match="has no masks, but it holds"):
        match_of(tmp_path / "net.pt")
    assert chosen(outline(tmp_path / "net.pt"), Asked(masks="leave"))[1].left_out == ["masks"]


def test_masks_beside_a_net_must_be_in_its_weights(tmp_path):
    def holes(state):
        state["conv1.weight"][0] = 0

    synthetic("flyingbird-resnet18-authors", tmp_path / "net.pt", 16, change=holes)
    assert (converted(tmp_path / "net.pt").net.conv1.weight[0] == 0).all()
    content = torch.load(tmp_path / "net.pt", weights_only=True)
    content["state_dict"]["conv1.weight"][0] = 1
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"its mask conv1\.weight_0 is not in the weight"):
        converted(tmp_path / "net.pt")


def test_tensors_that_lie_twice_must_be_equal(tmp_path):
    def differ(state):
        state["model.0.0.weight"] = state["model.0.0.weight"] + 1

    synthetic("li20-vgg16", tmp_path / "net.pt", 16, change=differ)
    with pytest.raises(UserError, match=r"feature.0.weight and model.0.0.weight should be one"):
        converted(tmp_path / "net.pt")


def test_scores_are_not_cut_without_a_share(tmp_path):
    synthetic("rst-resnet18", tmp_path / "net.pt", 16)
    with pytest.raises(UserError, match="rst-resnet18 cuts scores at the entry's sparsity"):
        converted(tmp_path / "net.pt", sparsity=0.0)


def test_masks_of_mad_are_told_where_they_are_not_one(tmp_path):
    synthetic("mad-resnet18", tmp_path / "net.pt", 16)
    assert converted(tmp_path / "net.pt").marks == []
    synthetic(
        "mad-resnet18", tmp_path / "net.pt", 16, change=lambda s: s["conv1.mask_weight"].zero_()
    )
    (mark,) = converted(tmp_path / "net.pt").marks
    assert mark == "masks of an unfinished search multiplied in: conv1.weight"


def pruned(shares):
    """Zeros at the front of every layer's weights, by the layer's place."""

    def change(state):
        for i, tensor in enumerate(t for t in state.values() if t.ndim > 1):
            tensor.view(-1)[: int(shares(i) * tensor.numel())] = 0

    return change


@pytest.mark.parametrize(
    ("shares", "faulty"),
    [(lambda i: 0.9, True), (lambda i: 0.1 + 0.8 * (i % 2), False), (lambda i: 0, False)],
)
@pytest.mark.parametrize("layout", ["harp-resnet18-dense-export", "harp-vgg16"])
def test_equal_shares_where_learned_ones_were_meant_are_marked(layout, shares, faulty, tmp_path):
    synthetic(layout, tmp_path / "net.pt", change=pruned(shares))
    found = converted(tmp_path / "net.pt", "harp")
    assert [m.startswith("HARP's faulty export") for m in found.faults] == [True] * faulty
    assert found.marks == []


def test_equal_shares_are_as_they_should_be_in_a_file_of_hydra(tmp_path):
    synthetic("hydra-vgg16", tmp_path / "net.pt", change=pruned(lambda i: 0.9))
    assert converted(tmp_path / "net.pt", "hydra").faults == []


def test_half_precision_is_said(tmp_path):
    def halve(state):
        state["conv1.weight"] = state["conv1.weight"].half()

    synthetic("twinrep-resnet18", tmp_path / "net.pt", 16, change=halve)
    (mark,) = converted(tmp_path / "net.pt", "twinrep").marks
    assert mark == "held in half precision (float16): conv1.weight"


def test_a_learned_share_is_between_a_tenth_of_the_global_one_and_all():
    rates = torch.tensor([-40.0, 0.0, 40.0])
    assert torch.allclose(learned_share(0.1, rates), torch.tensor([0.01, 0.505, 1.0]))


def test_arguments_and_numpys_numbers_are_read_as_data(tmp_path):
    state = state_of("mad-vgg16", 16)
    args = argparse.Namespace(lr=np.float32(0.1), out=Path("x"), nested=argparse.Namespace(a=1))
    beside = {"acc": np.float64(0.5), "epoch": np.int64(3), "best": np.zeros(2), "args": args}
    torch.save({"net": state, **beside}, tmp_path / "net.t7")
    assert converted(tmp_path / "net.t7").about["layout"] == "mad-vgg16"


def test_a_container_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"net": state_of("mad-vgg16", 16), "args": Code()}, tmp_path / "net.t7")
    with pytest.raises(UserError, match=r"run code of builtins\.print") as error:
        converted(tmp_path / "net.t7")
    assert not isinstance(error.value, UnknownLayoutError)
    assert "must never" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("conv: {holds: {weight: [out, in, k, k], scores: [out]}}", "nothing is made of scores"),
        ("conv: {holds: {scores: [out]}, unused: [scores]}", "nothing makes weight"),
        ("conv: {makes: {weight: {sort: weight}}}", "'sort' is no operation"),
        ("conv: {makes: {weight: {minus: weight}}}", r"minus takes 2 tensor\(s\)"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(content, message, tmp_path):
    common = "method: mad\nnet: {arch: resnet18}\nimages: as they are\n"
    (tmp_path / "odd.yaml").write_text(common + content)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "odd.yaml")
