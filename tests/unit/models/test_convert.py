"""A net that was trained elsewhere is read exactly, or refused in one line."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from advprune.base.errors import UserError
from advprune.models.checkpoint import save_checkpoint
from advprune.models.convert import convert
from advprune.models.registry import NetSpec, build

SPEC = NetSpec("resnet18", 4, 10, 1, 8, (0.3,), (0.4,))


@pytest.fixture
def net():
    return build(SPEC, torch.Generator().manual_seed(7))


def state_of(net):
    """What a program without our normalisation layer would save."""
    return {k: t for k, t in net.state_dict().items() if not k.startswith("normalize.")}


def same(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(left[k].equal(right[k]) for k in left)


def prefixed(text, state):
    return {text + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "around",
    [
        dict,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"net": s}},
        lambda s: prefixed("module.", s),
        lambda s: {"state_dict": prefixed("_orig_mod.module.model.", s)},
        lambda s: {key: t.double() if t.is_floating_point() else t for key, t in s.items()},
    ],
)
def test_wrappers_prefixes_and_exact_types_change_nothing(net, tmp_path, around):
    torch.save(around(state_of(net)), tmp_path / "net.pt")
    assert same(convert(tmp_path / "net.pt", SPEC), net)


def test_our_own_checkpoints_and_plain_safetensors_are_read(net, tmp_path):
    save_checkpoint(tmp_path / "ours.safetensors", net, SPEC)
    save_file(state_of(net), tmp_path / "plain.safetensors")
    for name in ("ours", "plain"):
        assert same(convert(tmp_path / f"{name}.safetensors", SPEC), net)


def test_names_are_replaced_and_left_out_as_asked(net, tmp_path):
    theirs = {key.replace("fc.", "linear."): t for key, t in state_of(net).items()}
    torch.save(prefixed("1.", theirs) | {"0.mean": torch.ones(1)}, tmp_path / "net.pt")
    rename = {r"^0\.": None, r"^1\.": "", "^linear": "fc"}
    assert same(convert(tmp_path / "net.pt", SPEC, rename), net)


def test_masks_of_torchs_own_pruning_are_folded_in(net, tmp_path):
    before = net.fc.weight.detach().clone()
    prune.l1_unstructured(net.fc, "weight", amount=0.5)
    mask = net.fc.weight_mask.clone()
    torch.save(state_of(net), tmp_path / "net.pt")
    assert convert(tmp_path / "net.pt", SPEC).fc.weight.equal(before * mask)


class Code:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return (print, ("this must never be printed",))


def without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda s: without(s, "fc.bias"), 'Missing key.*"fc.bias"'),
        (lambda s: s | {"extra": torch.ones(1)}, 'Unexpected key.*"extra"'),
        (lambda s: s | {"fc.bias": torch.ones(9)}, "size mismatch for fc.bias"),
        (lambda s: s | {"normalize.std": torch.full((1, 1, 1, 1), 0.5)}, "normalize.std is not"),
        (lambda s: s | {"normalize.std": torch.ones(3)}, "normalize.std is not"),
        (lambda s: {}, "holds no state_dict"),
        (lambda s: [1, 2], "holds no state_dict"),
        (lambda s: {"epoch": 3}, "holds no state_dict"),
        (lambda s: {"state_dict": s, "x": Code()}, "more than tensors"),
        (lambda s: nn.Linear(1, 1), "more than tensors"),
    ],
)
def test_what_does_not_fit_is_one_line(net, tmp_path, content, message, capsys):
    torch.save(content(state_of(net)), tmp_path / "net.pt")
    with pytest.raises(UserError, match=rf"net\.pt: .*{message}") as error:
        convert(tmp_path / "net.pt", SPEC)
    assert "\n" not in str(error.value) and "never" not in capsys.readouterr().out


def test_a_file_damaged_anywhere_is_refused(net, tmp_path):
    path = tmp_path / "net.pt"
    torch.save(state_of(net), path)
    whole = path.read_bytes()
    texts = [b"", b"x", pickle.dumps(Code()), *(whole[: len(whole) * k // 8] for k in range(1, 8))]
    for name in ("net.pt", "net.safetensors"):
        for text in texts:
            (tmp_path / name).write_bytes(text)
            with pytest.raises(UserError, match=name.replace(".", r"\.")) as error:
                convert(tmp_path / name, SPEC)
            assert "\n" not in str(error.value)
    for path in (tmp_path, tmp_path / "gone.pt"):
        with pytest.raises(UserError):
            convert(path, SPEC)
