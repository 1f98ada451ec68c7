"""Checkpoints: what is saved comes back to the bit; everything else is refused by name."""

import json
import shutil
import subprocess
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from advprune.base.errors import UserError
from advprune.data.tensorfile import load_tensors, save_tensors
from advprune.models.checkpoint import (
    is_finite,
    load_checkpoint,
    save_checkpoint,
    sha256,
)
from advprune.models.registry import NetSpec, build
from helpers.nets import NETS

SPEC = NetSpec("resnet18", 4, 10, 1, 8, (0.3,), (0.4,))


@pytest.fixture
def net() -> nn.Module:
    net = build(SPEC, torch.Generator().manual_seed(5))
    net(torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)))  # moves the statistics
    return net


@pytest.fixture
def masks(net) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": module.weight.detach() > 0
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d)
    }


def rewrite(path, change) -> None:
    """Write the checkpoint again, valid as a file, with its tensors changed in place."""
    tensors, header = load_tensors(path, "checkpoint-1")
    change(tensors)
    save_tensors(path, "checkpoint-1", tensors, header)


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_net_and_masks_come_back_exactly(net_fields, tmp_path):
    spec = replace(SPEC, **net_fields)
    net = build(spec, torch.Generator().manual_seed(1))
    images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    net(images)
    masks = {name: p.detach() > 0 for name, p in net.named_parameters() if p.dim() > 1}
    save_checkpoint(tmp_path / "n.safetensors", net, spec, masks)
    loaded = load_checkpoint(tmp_path / "n.safetensors")
    assert loaded.spec == spec
    assert not any(module.training for module in loaded.net.modules())
    assert loaded.net(images).equal(net.eval()(images))
    state = loaded.net.state_dict()
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    assert loaded.masks.keys() == masks.keys()
    assert all(loaded.masks[k].dtype == torch.bool for k in masks)
    assert all(loaded.masks[k].equal(masks[k]) for k in masks)


def test_equal_tensors_give_equal_bytes_whatever_the_order_or_layout(net, masks, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", net, SPEC, masks, {"seed": 1})
    net = net.to(memory_format=torch.channels_last)
    turned = dict(reversed(masks.items()))
    save_checkpoint(tmp_path / "b.safetensors", net, SPEC, turned, {"seed": 2})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_masks_that_share_memory_can_be_saved(net, tmp_path):
    mask = torch.rand(4, 4, 3, 3, generator=torch.Generator().manual_seed(0)) > 0.5
    masks = {"layer1.0.conv1.weight": mask, "layer1.0.conv2.weight": mask}
    save_checkpoint(tmp_path / "n.safetensors", net, SPEC, masks)
    loaded = load_checkpoint(tmp_path / "n.safetensors").masks
    assert all(loaded[name].equal(mask) for name in masks)


def test_card_lies_beside_and_names_the_file_by_its_sum(net, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, net, SPEC, card={"seed": 7})
    card = json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))
    assert card == {"seed": 7, "net": SPEC.to_dict(), "sha256": sha256(path)}
    if shutil.which("sha256sum"):
        out = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
        assert out.stdout.split()[0] == card["sha256"]


def test_collapsed_net_is_saved_and_told_apart(net, tmp_path):
    assert is_finite(net)
    net.fc.weight.data[3, 2] = float("nan")
    assert not is_finite(net)
    save_checkpoint(tmp_path / "n.safetensors", net, SPEC)
    loaded = load_checkpoint(tmp_path / "n.safetensors").net
    assert loaded.fc.weight[3, 2].isnan()
    nn.init.zeros_(loaded.fc.weight)
    assert is_finite(loaded)
    loaded.bn1.running_var[0] = float("inf")
    assert not is_finite(loaded)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("net/fc.bias"), "missing 1 tensor.*fc.bias"),
        (lambda t: t.update({"net/fc.extra": torch.ones(1)}), "unexpected 1 tensor.*fc.extra"),
        (lambda t: t.update({"net/fc.bias": torch.ones(9)}), r"fc.bias is .*\(9,\), not .*\(10,\)"),
        (lambda t: t.update({"net/fc.bias": torch.ones(10).double()}), "float64"),
        (lambda t: t.update({"mask/fc.weight": torch.ones(10, 32)}), "mask fc.weight"),
        (lambda t: t.update({"mask/fc.weight": torch.ones(10, 31).bool()}), "mask fc.weight"),
        (lambda t: t.update({"mask/none": torch.ones(1).bool()}), "belongs to no parameter"),
        (lambda t: t.update({"other/x": torch.ones(1)}), "unexpected other"),
    ],
)
def test_wrong_tensors_are_refused_by_name(net, tmp_path, change, message):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, net, SPEC)
    rewrite(path, change)
    with pytest.raises(UserError, match=rf"net\.safetensors: .*{message}") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_file_damaged_in_one_byte_is_refused_anywhere(net, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, net, SPEC)
    whole = path.read_bytes()
    for position in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(UserError, match=r"net\.safetensors"):
            load_checkpoint(path)


def test_changed_description_is_refused(net, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, net, SPEC)
    whole = path.read_bytes()
    changed = whole.replace(b"[0.3]", b"[0.2]", 1)
    assert changed != whole
    path.write_bytes(changed)
    with pytest.raises(UserError, match="does not match its digest"):
        load_checkpoint(path)


def test_other_files_are_refused(net, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")
    torch.save(net.state_dict(), tmp_path / "pickle.safetensors")
    with pytest.raises(UserError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "pickle.safetensors")
    save_tensors(tmp_path / "data.safetensors", "dataset-1", {"x": torch.ones(1)}, {})
    with pytest.raises(UserError, match="not a file of kind 'checkpoint-1'"):
        load_checkpoint(tmp_path / "data.safetensors")


def test_only_the_plain_net_of_the_description_is_saved(net, masks, tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match="fc"):
        save_checkpoint(path, net, replace(SPEC, classes=9))
    with pytest.raises(ValueError, match="mask"):
        save_checkpoint(path, net, SPEC, {"conv1.weight": masks["conv1.weight"].float()})
    parametrize.register_parametrization(net.fc, "weight", nn.Identity())
    with pytest.raises(ValueError, match=r"missing 1 tensor.*fc\.weight"):
        save_checkpoint(path, net, SPEC)
    assert not list(tmp_path.iterdir())


def test_a_last_epoch_travels_with_the_net_where_there_is_one(net, tmp_path):
    path = tmp_path / "net.safetensors"
    last = {name: tensor + 1 for name, tensor in net.state_dict().items()}
    save_checkpoint(path, net, SPEC, last=last)
    loaded = load_checkpoint(path)
    assert all(torch.equal(loaded.net.state_dict()[n], t) for n, t in net.state_dict().items())
    assert all(torch.equal(loaded.last[name], tensor) for name, tensor in last.items())
    save_checkpoint(path, net, SPEC)
    assert load_checkpoint(path).last is None
    last.pop("fc.bias")
    with pytest.raises(ValueError, match=r"fc\.bias"):
        save_checkpoint(path, net, SPEC, last=last)
