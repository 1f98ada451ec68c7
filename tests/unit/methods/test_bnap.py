"""docs/methods/bnap.md, "What must hold"."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.methods import base, bnap
from advprune.models.graph import batchnorm_of
from advprune.models.registry import build
from advprune.pruning import masks as mk
from helpers.methods import task_for
from helpers.small import SMALL, blobs


@pytest.fixture
def trained(net, rng):
    """A net whose BatchNorm has learned something: scales, shifts and statistics that differ."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, generator=rng)
            torch.nn.init.normal_(module.bias, generator=rng)
            torch.nn.init.normal_(module.running_mean, generator=rng)
            torch.nn.init.uniform_(module.running_var, 0.2, 4, generator=rng)
    return net


def prune(net, folder, structure, sparsity, **params):
    return base.load("bnap").prune(net, task_for("bnap", folder, structure, sparsity, **params))


def test_effective_weights_are_the_folded_kernels(trained):
    """The convolution with them and the folded shift is convolution and BatchNorm in one."""
    trained.eval()
    block = trained.layer1[0]
    x = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    kernel, bn = bnap.effective_weights(trained)["layer1.0.conv1"], block.bn1
    shift = bn.bias - bn.weight * bn.running_mean / (bn.running_var + bn.eps).sqrt()
    folded = F.conv2d(x, kernel, shift, padding=1)
    assert torch.allclose(folded, bn(block.conv1(x)), atol=1e-5)


def test_what_batchnorm_hides_does_not_change_the_mask(trained, tmp_path):
    """A filter scaled by a, its statistics adapted: the same function and mask."""
    other = copy.deepcopy(trained)
    for net in (trained, other):
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    with torch.no_grad():
        other.layer2[0].conv1.weight[1] *= 64
        other.layer2[0].bn1.running_mean[1] *= 64
        other.layer2[0].bn1.running_var[1] *= 64**2
    first, second = (prune(n, tmp_path, "unstructured", 0.8) for n in (trained, other))
    assert all(torch.equal(m, second[n]) for n, m in first.items())
    plain = [mk.rank(mk.magnitudes(n, "unstructured"), 0.8, "global") for n in (trained, other)]
    assert not torch.equal(plain[0]["layer2.0.conv1"], plain[1]["layer2.0.conv1"])


def test_a_filter_without_scale_goes_first_and_signs_do_not_matter(trained, tmp_path):
    with torch.no_grad():
        trained.layer3[0].bn1.weight[2] = 0
    masks = prune(trained, tmp_path, "unstructured", 0.3)
    assert not masks["layer3.0.conv1.weight"][2].any()
    assert not masks["layer3.0.bn1.bias"][2]  # it would emit its shift
    assert not prune(trained, tmp_path, "filters", 0.1)["layer3.0.conv1.weight"][2].any()
    with torch.no_grad():
        trained.layer1[0].bn1.weight *= -1
        trained.layer2[0].conv1.weight *= -1
    again = prune(trained, tmp_path, "unstructured", 0.3)
    assert all(torch.equal(m, again[n]) for n, m in masks.items())


def test_with_equal_scales_it_is_global_magnitude_pruning(net, tmp_path):
    masks = prune(net, tmp_path, "unstructured", 0.8)
    sizes = {n: w.abs() for n, w in mk.weights(net, "filters").items()}
    kept = min(float(s[masks[f"{n}.weight"]].min()) for n, s in sizes.items())
    gone = max(float(s[~masks[f"{n}.weight"]].max()) for n, s in sizes.items())
    assert kept >= gone
    assert int(masks["fc.weight"].sum()) == mk.kept_count(masks["fc.weight"].numel(), 0.8)


@pytest.mark.parametrize("sparsity", [0.5, 0.77, 0.9])
def test_totals_are_exact(trained, tmp_path, sparsity):
    masks = prune(trained, tmp_path, "unstructured", sparsity)
    layers = [masks[f"{n}.weight"] for n in mk.prunable(trained, "unstructured")]
    kept, total = mk.count(layers)
    assert kept == mk.kept_count(total, sparsity)
    closed = prune(trained, tmp_path, "filters", sparsity)
    units = [closed[f"{n}.weight"].flatten(1).any(1) for n in mk.prunable(trained, "filters")]
    assert mk.count(units) == (mk.kept_count(sum(map(len, units)), sparsity), sum(map(len, units)))
    assert all(u.any() for u in units)


def test_filters_of_small_scale_go_whatever_their_weights(trained, tmp_path):
    masks = prune(trained, tmp_path, "filters", 0.5)
    norms = batchnorm_of(trained)
    kept, gone = [], []
    for conv, norm in norms.items():
        alive = masks[f"{conv}.weight"].flatten(1).any(1)
        size = trained.get_submodule(norm).weight.detach().abs()
        if alive.sum() > 1:  # where the floor does not decide
            kept.append(size[alive])
        gone.append(size[~alive])
    assert torch.cat(kept).min() >= torch.cat(gone).max()


def test_large_scales_go_in_the_other_direction(trained, tmp_path):
    masks = prune(trained, tmp_path, "filters", 0.5, direction="large")
    kept, gone = [], []
    for conv, norm in batchnorm_of(trained).items():
        alive = masks[f"{conv}.weight"].flatten(1).any(1)
        size = trained.get_submodule(norm).weight.detach().abs()
        kept += [size[alive]] if alive.sum() > 1 else []
        gone.append(size[~alive])
    assert torch.cat(kept).max() <= torch.cat(gone).min()
    assert mk.count(masks[f"{n}.weight"].flatten(1).any(1) for n in batchnorm_of(trained))[0] == (
        mk.kept_count(sum(len(trained.get_submodule(n).weight) for n in batchnorm_of(trained)), 0.5)
    )


def test_of_equal_weights_the_direction_says_which_scale_goes_first(trained, tmp_path):
    """Two filters with the same weights and statistics, one with a hundred times the scale."""
    norm, conv = trained.layer3[0].bn1, trained.layer3[0].conv1
    with torch.no_grad():
        conv.weight[3] = conv.weight[5]
        norm.running_var[3] = norm.running_var[5] = 1.0
        norm.weight[3], norm.weight[5] = 10.0, 0.1
    for direction, first in (("small", 5), ("large", 3)):
        mask = prune(trained, tmp_path, "unstructured", 0.5, direction=direction)
        kept = mask["layer3.0.conv1.weight"].flatten(1).sum(1)
        assert kept[first] < kept[8 - first], direction
        layers = [mask[f"{n}.weight"] for n in mk.prunable(trained, "unstructured")]
        total = sum(m.numel() for m in layers)
        assert mk.count(layers)[0] == mk.kept_count(total, 0.5)


def test_a_filter_without_scale_goes_last_in_the_other_direction(trained, tmp_path):
    with torch.no_grad():
        trained.layer3[0].bn1.weight[2] = 0
    for structure in ("unstructured", "filters"):
        masks = prune(trained, tmp_path, structure, 0.9, direction="large")
        assert masks["layer3.0.conv1.weight"][2].all(), structure


def test_with_equal_scales_the_direction_does_not_matter_for_weights(net, tmp_path):
    masks = [prune(net, tmp_path, "unstructured", 0.8, direction=d) for d in ("small", "large")]
    assert all(torch.equal(m, masks[1][n]) for n, m in masks[0].items())


def test_an_unknown_direction_is_refused(net, tmp_path):
    with pytest.raises(UserError, match=r"bnap: params\.direction: 'up' \(known: small, large\)"):
        prune(net, tmp_path, "filters", 0.5, direction="up")


def test_masks_are_nested_and_scoring_changes_nothing(trained, tmp_path):
    before = copy.deepcopy(trained.state_dict())
    trained.train()
    loose = prune(trained, tmp_path, "unstructured", 0.5)
    trained.eval()
    tight = prune(trained, tmp_path, "unstructured", 0.9)
    for name in mk.prunable(trained, "unstructured"):
        assert not (tight[f"{name}.weight"] & ~loose[f"{name}.weight"]).any()
    assert all(torch.equal(v, before[n]) for n, v in trained.state_dict().items())


def test_masked_filters_are_as_good_as_absent(trained, tmp_path):
    """A closed channel is zero for the next layer, whatever its statistics say."""
    masks = prune(trained, tmp_path, "filters", 0.5)
    mk.apply(trained, masks)
    trained.eval()
    seen = {}
    trained.layer1[0].bn1.register_forward_hook(lambda m, i, o: seen.update(out=o))
    trained(blobs(3).images / 255)
    alive = masks["layer1.0.conv1.weight"].flatten(1).any(1)
    assert not seen["out"][:, ~alive].any() and seen["out"][:, alive].any()


def test_a_net_without_a_batchnorm_per_convolution_is_refused_for_filters_only(tmp_path):
    net = build(replace(SMALL, arch="wrn_28_4")).eval()
    with pytest.raises(UserError, match=r"bnap: .* first layer1\.0\.conv2; leave") as error:
        prune(net, tmp_path, "filters", 0.5)
    assert "\n" not in str(error.value)
    assert torch.equal(
        bnap.effective_weights(net)["layer1.0.conv2"], net.layer1[0].conv2.weight.detach()
    )
    prune(net, tmp_path, "unstructured", 0.8)
