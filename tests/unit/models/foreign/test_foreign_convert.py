"""A net that was trained elsewhere is read exactly, or refused in one line."""

import argparse
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from advprune.base.errors import UserError
from advprune.models.checkpoint import save_checkpoint
from advprune.models.foreign.convert import convert
from advprune.models.foreign.numbers import Numbers
from advprune.models.foreign.outline import outline
from advprune.models.foreign.pickles import Array, Size
from advprune.models.foreign.reading import Asked
from advprune.models.registry import NetSpec
from helpers.foreign import SPEC, Code, masks_of, net_of, prefixed, same, state_of


@pytest.fixture
def net():
    return net_of()


@pytest.fixture
def read(tmp_path):
    """Save something as another program does, and read it."""

    def read(content, spec=SPEC, sparsity=0.0, **asked):
        torch.save(content, tmp_path / "net.pt")
        return convert(tmp_path / "net.pt", spec, Asked(**asked), sparsity)

    return read


def doubled(times):
    """A list in a list, twice each time."""
    found = ["x"]
    for _ in range(times):
        found = [found, found]
    return found


def in_itself(state):
    content = {"net": state}
    content["all"] = content
    return content


def big_endian(array):
    return array.astype(array.dtype.newbyteorder(">"))


def sparse(state):
    return {k: t.to_sparse() if t.ndim == 4 else t for k, t in state.items()}


@pytest.mark.parametrize(
    "around",
    [
        dict,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"net": s}},
        lambda s: prefixed("module.", s),
        lambda s: {"state_dict": prefixed("_orig_mod.module.model.", s)},
        lambda s: {key: t.double() if t.is_floating_point() else t for key, t in s.items()},
        lambda s: s | {"epoch": 3},
        lambda s: {"net": s, "seen": {1, 2}, "about": {"by": (b"me", 1j)}},
        lambda s: {"weights": [s], "best": np.float32(0.5), "seen": np.int64(7)},
        lambda s: {"ckpt": s, "args": argparse.Namespace(lr=0.1, out=pathlib.Path("x"))},
        lambda s: {key: t.numpy() for key, t in s.items()},
        lambda s: {key: big_endian(t.numpy()) for key, t in s.items()},
        lambda s: {key: nn.Parameter(t, requires_grad=False) for key, t in s.items()},
        sparse,
        lambda s: s | {"fc.weight": s["fc.weight"].to_sparse_csr()},
        lambda s: {"state_dict": s, "model": s},
        lambda s: {"net": s, "noise": {"sigma": 0.25, "mu": 0.9}},
        lambda s: {"net": s, "mean": [0.3], "data": {"std": (0.4,)}},
        lambda s: {"net": s, "mean": 0.3, "std": 0.4},
        lambda s: {"net": s, "many": doubled(40)},
        in_itself,
    ],
)
def test_what_lies_around_a_net_changes_nothing(net, read, around):
    found = read(around(state_of(net)))
    assert same(found.net, net) and found.about["left_out"] == found.about["changes"] == []


def test_an_optimiser_is_not_taken_for_a_net(net, read):
    optimizer = torch.optim.Adam(net.parameters())
    nn.functional.cross_entropy(net(torch.rand(4, 1, 8, 8)), torch.arange(4)).backward()
    optimizer.step()
    by_name = {n: {"exp_avg": p, "exp_avg_sq": p} for n, p in net.named_parameters()}
    found = read({"net": state_of(net), "optimizer": optimizer.state_dict(), "optim": by_name})
    assert same(found.net, net) and found.about["beside"] == ["optimizer", "optim"]


def test_files_before_torch_1_6_are_read(net, tmp_path):
    content = {"state_dict": state_of(net), "epoch": 3}
    torch.save(content, tmp_path / "net.pt", _use_new_zipfile_serialization=False)
    assert same(convert(tmp_path / "net.pt", SPEC).net, net)


class Forged:
    """A NumPy array whose type says that its bytes are pointers to objects."""

    def __reduce__(self):
        made = np.zeros(0).__reduce__()[0]
        return made, (np.ndarray, (0,), b"b"), (1, (1,), ForgedType(), False, bytes(8))


class ForgedType:
    def __reduce__(self):
        fields = {"a": (np.dtype("O"), 0)}
        return np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, 0)


def test_no_array_is_built_as_a_file_says(net, tmp_path):
    torch.save({"net": state_of(net), "x": Forged()}, tmp_path / "net.pt")
    content = Numbers(outline(tmp_path / "net.pt")).content
    assert type(content["x"]) is Array  # a stand-in, and nothing of NumPy's
    assert same(convert(tmp_path / "net.pt", SPEC).net, net)


def test_a_file_changes_none_of_the_stand_ins(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr(
            "net/data.pkl", b"\x80\x02ctorch\nSize\nN}X\x03\x00\x00\x00oddK\x01s\x86b."
        )
    with pytest.raises(UserError, match="damaged"):
        outline(tmp_path / "net.pt")
    assert not hasattr(Size, "odd")


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_safetensors_are_read_whatever_their_name_is(net, tmp_path, name):
    save_file(state_of(net), tmp_path / name)
    assert same(convert(tmp_path / name, SPEC).net, net)


def test_our_own_checkpoints_are_read_with_or_without_masks(net, tmp_path):
    masks = masks_of(net.state_dict())
    for name, mask in masks.items():
        net.get_parameter(name).data *= mask
    save_checkpoint(tmp_path / "a.pt", net, SPEC, masks, last=net_of(8).state_dict())
    assert same(convert(tmp_path / "a.pt", SPEC).net, net)
    assert same(convert(tmp_path / "a.pt", SPEC, Asked(key="last")).net, net_of(8))


def test_names_are_replaced_and_left_out_as_asked(net, read):
    theirs = {key.replace("fc.", "linear."): t for key, t in state_of(net).items()}
    theirs = prefixed("1.", theirs) | {"0.scale": torch.ones(1)}
    found = read(theirs, rename={r"^0\.": None, r"^1\.": "", "^linear": "fc"})
    assert same(found.net, net) and found.about["left_out"] == ["by rename: 0.scale"]


def test_masks_of_torchs_own_pruning_are_folded_in(net, read):
    before = net.fc.weight.detach().clone()
    prune.l1_unstructured(net.fc, "weight", amount=0.5)
    mask = net.fc.weight_mask.clone()
    found = read(state_of(net))
    assert found.net.fc.weight.equal(before * mask)
    assert found.about["changes"] == ["masks multiplied in: fc.weight"]


# a file that leaves a choice


def two(net):
    return {"state_dict": state_of(net), "state_dict_ema": state_of(net_of(8)), "epoch": 9}


def test_of_several_state_dicts_the_one_is_read_that_is_asked_for(net, read):
    with pytest.raises(UserError, match=r"2 state dicts, 'state_dict' .* 'state_dict_ema' .* key"):
        read(two(net))
    assert same(read(two(net), key="state_dict").net, net)
    found = read(two(net), key="state_dict_ema")
    assert same(found.net, net_of(8)) and found.about["beside"] == ["epoch"]
    assert found.marks == ["left out of its file: state_dict (122 tensors)"]


def test_a_part_of_a_state_dict_can_be_asked_for_by_what_its_names_begin_with(net, read):
    both = prefixed("student.", state_of(net)) | prefixed("ema.", state_of(net_of(8)))
    found = read({"state_dict": both}, key="state_dict.ema")
    assert same(found.net, net_of(8)) and "(122)" in found.about["left_out"][0]
    with pytest.raises(UserError, match="Missing key"):
        read({"state_dict": both})


def test_two_tensors_with_one_new_name_are_both_said(net, read):
    both = prefixed("a.", state_of(net)) | prefixed("b.", state_of(net))
    with pytest.raises(UserError, match=r"one name, conv1\.weight, of a\.conv1.* and b\.conv1"):
        read(both, rename={r"^[ab]\.": ""})


@pytest.mark.parametrize(
    "beside",
    [
        lambda s, m: {"state_dict": s, "masks": m},
        lambda s, m: {"state_dict": s, "best_mask": {k: t.float() for k, t in m.items()}},
        lambda s, m: s | {k.replace(".weight", ".mask"): t for k, t in m.items()},
        lambda s, m: s | {f"{k}_mask": t.to(torch.uint8) for k, t in m.items()},
        lambda s, m: s | {f"mask.{k}": t for k, t in m.items()},
        lambda s, m: {"net": prefixed("module.", s), "kept": prefixed("module.", m)},
    ],
)
def test_masks_beside_dense_weights_are_asked_about(net, read, beside):
    state, masks = state_of(net), masks_of(state_of(net))
    content = beside(state, masks)
    with pytest.raises(UserError, match="masks: apply, or masks: leave"):
        read(content)
    with pytest.raises(UserError, match="masks: apply, or masks: leave"):
        read(content, rename={"mask": None})
    left = read(content, masks="leave")
    assert same(left.net, net) and "masks" in left.marks[0]
    applied = read(content, masks="apply")
    for name, mask in masks.items():
        assert applied.net.state_dict()[name].equal(state[name] * mask)


def test_scores_are_cut_as_hydra_cuts_them(net, read):
    state = state_of(net)
    names = {name: name.replace("weight", "popup_scores") for name in masks_of(state)}
    scores = {new: torch.rand_like(state[name]) for name, new in names.items()}
    with pytest.raises(UserError, match="scores: apply, or scores: leave"):
        read(state | scores)
    found = read(state | scores, scores="apply", sparsity=0.9).net.state_dict()
    for name, new in names.items():
        own = scores[new]
        removed = int(round(0.9 * own.numel(), 6))
        limit = own.flatten().sort().values[removed - 1]
        assert found[name].equal(state[name] * (own > limit))


MEANS = [
    lambda s: s | {"mu": torch.full((1, 1, 1, 1), 0.9)},
    lambda s: s | {"normalize.std": torch.full((1, 1, 1, 1), 0.5)},
    lambda s: s | {"normalize.std": torch.ones(3)},
    lambda s: {"net": s, "mean": [0.9]},
    lambda s: {"net": s, "mean": 0.9, "std": 0.4},
    lambda s: {"net": s, "data": {"sigma": torch.tensor([0.9])}},
    lambda s: prefixed("1.", s) | {"0.mean": torch.tensor([0.9])},
]


@pytest.mark.parametrize("around", MEANS)
def test_other_moments_than_the_configurations_are_refused(net, read, around):
    rename = {"^(mu|sigma)$": None, r"^0\.": None, r"^1\.": ""}
    with pytest.raises(UserError, match=r"is not the configuration's (mean|std) but .*same$"):
        read(around(state_of(net)), rename=rename)
    found = read(around(state_of(net)), rename=rename, moments="leave")
    assert same(found.net, net) and "its " in found.marks[0]


def test_moments_that_agree_are_no_matter(net, read):
    around = state_of(net) | {"mu": torch.full((1, 1, 1, 1), 0.3)}
    for rename in ({}, {"^mu$": None}, {"^mu$": "normalize.mean"}):
        assert same(read(around, rename=rename).net, net)


# what changes a weight


@pytest.mark.parametrize("arch", ["vgg16", "resnet18", "wrn_28_4"])
def test_biases_before_batchnorm_go_into_its_means(read, arch):
    """With the same logits as the net that has both."""
    spec = NetSpec(arch, 4, 10, 1, 8, (0.3,), (0.4,))
    net, state = net_of(spec=spec), state_of(net_of(spec=spec))
    theirs, rng = net_of(spec=spec), torch.Generator().manual_seed(2)
    followed = {"vgg16": "features", "resnet18": "", "wrn_28_4": "conv1"}[arch]
    for name, module in theirs.named_modules():
        if isinstance(module, nn.Conv2d) and followed in name:
            module.bias = nn.Parameter(torch.randn(module.out_channels, generator=rng))
            state[f"{name}.bias"] = module.bias.detach()
    x = torch.rand(8, 1, 8, 8, generator=rng)
    found = read(state, spec)
    assert (theirs.double()(x.double()) - found.net.double()(x.double())).abs().max() < 1e-5
    assert (theirs(x.double()) - net.double()(x.double())).abs().max() > 1e-2
    assert "biases folded into BatchNorm" in found.about["changes"][0]


def test_a_bias_without_a_batchnorm_of_its_own_is_refused(read):
    spec = NetSpec("wrn_28_4", 4, 10, 1, 8, (0.3,), (0.4,))
    state = state_of(net_of(spec=spec))
    bias = torch.ones(len(state["layer1.0.conv2.weight"]))
    with pytest.raises(UserError, match=r"Unexpected key.*layer1\.0\.conv2\.bias"):
        read(state | {"layer1.0.conv2.bias": bias}, spec)
    read(state | {"layer1.0.conv2.bias": 0 * bias}, spec)


def test_rounding_is_told(net, read):
    state = state_of(net)
    found = read(state | {"fc.weight": state["fc.weight"].double() / 3})
    assert found.about["changes"] == ["rounded from float64: fc.weight"]


def without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda s: without(s, "fc.bias"), 'Missing key.*"fc.bias"'),
        (lambda s: s | {"extra": torch.ones(1)}, 'Unexpected key.*"extra"'),
        (lambda s: s | {"fc.bias": torch.ones(9)}, "size mismatch for fc.bias"),
        (lambda s: {}, "holds no state_dict"),
        (lambda s: [1, 2], "holds no state_dict"),
        (lambda s: {"epoch": 3, "lr": 0.1}, r"no state_dict; it holds epoch \(int\), lr \(float\)"),
        (lambda s: {"state_dict": s, "x": Code()}, r"run code of (__builtin__|builtins)\.print"),
        (lambda s: nn.Linear(1, 1), r"more than tensors.*torch\.nn\.modules\.linear\.Linear"),
        (lambda s: s | {"fc.weight": s["fc.weight"].to(torch.int8)}, r"fc\.weight.*\(int8\)"),
        (lambda s: s | {"fc.weight": s["fc.weight"] > 0}, r"fc\.weight.*\(bool\)"),
        (
            lambda s: (
                s | {"fc.weight": torch.quantize_per_tensor(s["fc.weight"], 0.1, 0, torch.qint8)}
            ),
            r"fc\.weight.*\(qint8\)",
        ),
        (lambda s: s | {"fc.weight": s["fc.weight"].to("meta")}, "meta device"),
        (lambda s: {"net": s, "masks": {"conv9.weight": torch.ones(3) > 0}}, "masks: apply"),
        (lambda s: {"a": s, "a_mask": masks_of(s), "b_mask": masks_of(s)}, "several tables"),
        (lambda s: s | {"a\nb": torch.ones(1)}, "Unexpected key"),
    ],
)
def test_what_does_not_fit_is_one_line(net, read, content, message, capsys):
    with pytest.raises(UserError, match=rf"net\.pt: .*{message}") as error:
        read(content(state_of(net)))
    assert "\n" not in str(error.value) and "never" not in capsys.readouterr().out


def test_a_pickle_that_torch_does_not_read_safely_is_told_from_a_damaged_one(net, tmp_path):
    torch.save(state_of(net), tmp_path / "net.pt", pickle_protocol=4)
    with pytest.raises(UserError, match=r"net\.pt: .*without another pickle_protocol"):
        convert(tmp_path / "net.pt", SPEC)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"key": "ema"}, r"no state dict at key 'ema'; it holds net \(122 tensors\)"),
        ({"masks": "apply"}, "masks: apply, but it holds none"),
        ({"scores": "leave"}, "scores: leave, but it holds none"),
    ],
)
def test_a_choice_that_a_file_does_not_leave_is_refused(net, read, asked, message):
    with pytest.raises(UserError, match=message):
        read({"net": state_of(net)}, **asked)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.full((10, 32), 0.5), "other numbers than 0 and 1"),
        (torch.ones(9, 32) > 0, r"the mask of fc\.weight is \[9, 32\], the weight \[10, 32\]"),
    ],
)
def test_a_mask_that_is_none_is_refused(net, read, mask, message):
    with pytest.raises(UserError, match=message):
        read(state_of(net) | {"fc.weight_mask": mask}, masks="apply")
    with pytest.raises(UserError, match=r"masks: conv9\.mask belongs to no weight"):
        read(state_of(net) | {"conv9.mask": mask}, masks="apply")


def test_a_file_damaged_anywhere_is_refused(net, tmp_path):
    path = tmp_path / "net.pt"
    torch.save(state_of(net), path)
    whole = path.read_bytes()
    texts = [b"", b"x", pickle.dumps(Code()), *(whole[: len(whole) * k // 8] for k in range(1, 8))]
    save_file(state_of(net), path)
    whole = path.read_bytes()
    texts += [whole[:9], whole[: len(whole) // 2], whole[:-1], whole + b"x"]
    for name in ("net.pt", "net.safetensors"):
        for text in texts:
            (tmp_path / name).write_bytes(text)
            with pytest.raises(UserError, match=name.replace(".", r"\.")) as error:
                convert(tmp_path / name, SPEC)
            assert "\n" not in str(error.value)
    for path in (tmp_path, tmp_path / "gone.pt"):
        with pytest.raises(UserError):
            convert(path, SPEC)
