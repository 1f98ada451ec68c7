from dataclasses import replace

import pytest
import torch

from advprune.evaluation.audit import audit
from advprune.models.checkpoint import load_checkpoint, save_checkpoint
from advprune.models.registry import build
from advprune.pruning import masks as mk
from helpers.nets import NETS
from helpers.small import SMALL

IMAGE = (1, 8, 8)


def pruned(net, structure, sparsity):
    units = mk.rank(mk.magnitudes(net, structure), sparsity)
    mk.apply(net, mk.weight_masks(net, units, structure))
    return net


@pytest.mark.parametrize(
    ("structure", "sparsity"),
    [
        ("none", 0.0),
        ("unstructured", 0.9),
        ("filters", 0.5),
        ("filters", 0.25),
        ("channels", 0.5),
        ("kernels", 0.5),
    ],
)
def test_a_net_on_target_has_no_complaint(net, structure, sparsity):
    found = audit(pruned(net, structure, sparsity) if sparsity else net, IMAGE, structure, sparsity)
    assert found["reasons"] == []
    assert found["sparsity_achieved"] == pytest.approx(sparsity, abs=0.01)


def test_zeros_are_counted_in_the_file_and_not_taken_from_the_mask(net, tmp_path):
    """A file whose masks promise 90 % while its weights are dense is flagged."""
    units = mk.rank(mk.magnitudes(net, "unstructured"), 0.9)
    masks = mk.weight_masks(net, units, "unstructured")
    save_checkpoint(tmp_path / "a.safetensors", net, SMALL, masks)
    found = audit(load_checkpoint(tmp_path / "a.safetensors").net, IMAGE, "unstructured", 0.9)
    assert found["sparsity_achieved"] == 0
    assert found["reasons"] == ["sparsity is 0.0000 instead of 0.9"]


@pytest.mark.parametrize("structure", ["unstructured", "filters", "channels", "kernels"])
def test_masks_must_agree_with_the_zeros(net, structure):
    units = mk.rank(mk.magnitudes(net, structure), 0.5)
    masks = mk.weight_masks(net, units, structure)
    mk.apply(net, masks)
    assert audit(net, IMAGE, structure, 0.5, masks)["reasons"] == []
    name, mask = "layer4.1.conv2.weight", masks["layer4.1.conv2.weight"]
    masks[name] = torch.ones_like(mask)  # says nothing of half of the largest layer
    (reason,) = audit(net, IMAGE, structure, 0.5, masks)["reasons"]
    assert reason.startswith("the masks remove 0.") and reason.endswith(", zero are 0.5000")
    masks[name] = mask
    with torch.no_grad():  # one weight has come back: of single ones too few for counts to show
        net.layer4[1].conv2.weight.flatten()[(~mask).flatten().nonzero()[0]] = 1e-3
    reasons = audit(net, IMAGE, structure, 0.5, masks)["reasons"]
    assert reasons[0] == f"not zero where the mask removes them: weights of {name}"
    assert len(reasons) == 1 or structure != "unstructured"


def test_a_miss_of_more_than_a_tenth_of_a_point_is_flagged(net):
    size = sum(w.numel() for w in mk.weights(net).values())
    units = mk.rank(mk.magnitudes(net, "unstructured"), 0.9, scope="global")
    mk.apply(net, mk.weight_masks(net, units, "unstructured"))
    slack = int(0.0012 * size)
    with torch.no_grad():
        flat = net.layer4[1].conv2.weight.view(-1)
        dead = (flat == 0).nonzero()[:slack, 0]
        flat[dead] = 1.0
    assert len(dead) == slack
    assert "sparsity is 0.8988" in audit(net, IMAGE, "unstructured", 0.9)["reasons"][0]


def test_a_filter_counts_as_removed_only_when_its_shift_is_closed_too(net):
    pruned(net, "filters", 0.5)
    with torch.no_grad():
        dead = (net.bn1.weight == 0).nonzero()[0, 0]
        net.bn1.bias[dead] = 0.1
    layers = audit(net, IMAGE, "filters", 0.5)["layers"]
    assert layers["conv1"]["removed"] == 1 and layers["layer1.0.conv1"]["removed"] == 2


def test_a_kernel_counts_as_removed_only_when_all_its_weights_are(net):
    with torch.no_grad():
        net.layer1[0].conv1.weight[:, 1] = 0
        net.layer1[0].conv1.weight[2, 3] = 0
        net.layer1[0].conv1.weight[0, 1, 2, 2] = 0.1
    layers = audit(net, IMAGE, "kernels", 0.5)["layers"]
    assert layers["layer1.0.conv1"]["removed"] == 4 and layers["layer1.0.conv1"]["units"] == 16
    assert "conv1" not in layers and "fc" not in layers


def test_counts_of_the_dense_net_and_of_half_a_layer(net):
    dense = audit(net, IMAGE, "none", 0.0)
    parameters = sum(p.numel() for p in net.parameters())
    biases = sum(int((p == 0).sum()) for p in net.parameters())  # fresh shifts are zero
    assert dense["params"] == parameters and dense["nonzero"] == parameters - biases
    assert dense["macs"] == dense["effective_macs"]
    with torch.no_grad():
        net.conv1.weight[:2] = 0
    half = audit(net, IMAGE, "none", 0.0)
    assert dense["effective_macs"] - half["effective_macs"] == 64 * 9 * 2
    assert half["macs"] == dense["macs"]


def test_numbers_that_are_not_finite_are_flagged(net):
    with torch.no_grad():
        net.fc.weight[0, 0] = float("nan")
    assert "not finite" in audit(net, IMAGE, "none", 0.0)["reasons"][0]


def test_a_filter_that_is_only_added_is_removed_when_its_weights_are():
    """In pre-activation blocks the BatchNorm that reads the sum is not the filter's own."""
    net = build(replace(SMALL, arch="wrn_28_4"))
    with torch.no_grad():
        net.layer1[0].conv2.weight[1] = 0
        net.layer1[0].conv1.weight[1] = 0
        net.layer1[0].bn2.weight[1] = 0
        net.layer1[0].bn2.bias[1] = 0.1
    layers = audit(net, IMAGE, "filters", 0.5)["layers"]
    assert layers["layer1.0.conv2"]["removed"] == 1
    assert layers["layer1.0.conv1"]["removed"] == 0


@pytest.mark.parametrize("structure", ["unstructured", "filters", "channels", "kernels"])
@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_every_net_is_on_target_in_every_structure(net_fields, structure):
    net = pruned(build(replace(SMALL, **net_fields, width=8)), structure, 0.5)
    assert audit(net, IMAGE, structure, 0.5)["reasons"] == []
