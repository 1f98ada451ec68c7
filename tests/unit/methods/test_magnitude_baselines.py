"""Magnitude in its several scopes and norms, and chance: what the references promise."""

import pytest
import torch

from advprune.methods import base
from advprune.methods.global_magnitude import sizes
from advprune.methods.lamp import lamp
from advprune.pruning import masks as mk
from advprune.pruning.structures import named
from helpers.methods import task_for


def test_lamp_is_the_share_in_what_smaller_weights_leave():
    scores = lamp(torch.tensor([[3.0, -1.0], [2.0, 0.0]]))
    expected = torch.tensor([[1.0, 1 / 14], [4 / 13, 0.0]], dtype=torch.double)
    assert torch.allclose(scores, expected)


def test_lamp_keeps_the_order_within_a_layer_and_ignores_its_scale(rng):
    weight = torch.randn(6, 5, generator=rng)
    scores = lamp(weight).flatten()
    assert torch.equal(scores.argsort(), weight.abs().flatten().argsort())
    assert torch.allclose(lamp(8 * weight), lamp(weight))
    assert scores.max() == 1 and scores.min() > 0


def test_equal_weights_rank_as_their_masks_do():
    scores = lamp(torch.ones(4))
    assert scores.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def test_lamp_ranks_all_layers_together(net, tmp_path):
    with torch.no_grad():
        net.fc.weight.mul_(1e-3)  # global magnitude would empty it
    masks = base.load("lamp").prune(net, task_for("lamp", tmp_path, sparsity=0.9))
    assert mk.count(masks.values())[0] == mk.kept_count(mk.count(masks.values())[1], 0.9)
    scores = {f"{n}.weight": lamp(w) for n, w in mk.weights(net).items()}
    kept = min(float(scores[n][m].min()) for n, m in masks.items())
    gone = max(float(scores[n][~m].max()) for n, m in masks.items())
    assert kept >= gone
    assert len({round(float(m.float().mean()), 2) for m in masks.values()}) > 5
    assert masks["fc.weight"].sum() > 1


def test_filters_are_ranked_by_their_l1_norm(net, tmp_path):
    """A spiky filter has the larger l2 norm and the smaller l1 norm."""
    weight = net.conv1.weight
    with torch.no_grad():
        weight.fill_(0.5)
        weight[0] = 0
        weight[0, 0, 1, 1] = 4.4
        weight[2] = 0.1
    masks = base.load("filter_l1").prune(net, task_for("filter_l1", tmp_path, "filters", 0.5))
    assert masks["conv1.weight"].flatten(1).all(1).tolist() == [False, True, False, True]
    assert masks["bn1.weight"].tolist() == masks["bn1.bias"].tolist() == [False, True, False, True]
    for name, layer in mk.prunable(net, "filters").items():
        alive = masks[f"{name}.weight"].flatten(1).any(1)
        norms = layer.weight.detach().abs().sum((1, 2, 3))
        assert int(alive.sum()) == mk.kept_count(len(norms), 0.5)
        assert norms[alive].min() >= norms[~alive].max()


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_global_magnitude_has_one_threshold_for_the_whole_net(net, tmp_path, structure):
    task = task_for("global_magnitude", tmp_path, structure, 0.5)
    masks = base.load("global_magnitude").prune(net, task)
    weights = mk.weights(net, structure)
    alive = {n: named(structure).occupied(masks[f"{n}.weight"]) for n in weights}
    # by hand: root mean squares of what one unit holds
    rms = {
        n: w.abs() if structure == "unstructured" else w.square().mean((1, 2, 3)).sqrt()
        for n, w in weights.items()
    }
    kept, total = mk.count(alive.values())
    assert kept == mk.kept_count(total, 0.5)
    largest_gone = max(float(rms[n][~m].max()) for n, m in alive.items() if not m.all())
    kept_sizes = torch.cat([rms[n][m] for n, m in alive.items() if m.sum() > 1])
    assert kept_sizes.min() >= largest_gone * (1 - 1e-6)
    assert len({round(float(m.float().mean()), 1) for m in alive.values()}) > 2  # not one rate


def test_global_magnitude_ranks_within_a_layer_as_lwm_does(net):
    for name, norms in mk.magnitudes(net, "filters").items():
        assert torch.equal(sizes(net, "filters")[name].argsort(), norms.argsort()), name


def test_the_number_of_weights_in_a_filter_does_not_count(net):
    wide = net.layer2[0].conv2.weight
    before = sizes(net, "filters")["layer2.0.conv2"]
    net.layer2[0].conv2.weight = torch.nn.Parameter(torch.cat([wide, wide], dim=1))
    assert torch.allclose(sizes(net, "filters")["layer2.0.conv2"], before)


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_a_layer_of_small_weights_goes_but_for_one_unit(net, tmp_path, structure):
    with torch.no_grad():
        net.layer1[0].conv2.weight.mul_(1e-4)
    task = task_for("global_magnitude", tmp_path, structure, 0.5)
    masks = base.load("global_magnitude").prune(net, task)
    assert named(structure).occupied(masks["layer1.0.conv2.weight"]).sum() == 1


def test_random_kernels_are_those_of_the_methods_that_prune_kernels(net, tmp_path):
    """Which of a filter's inputs go is drawn for each filter, the same share in every layer."""
    masks = base.load("random").prune(net, task_for("random", tmp_path, "kernels", 0.5))
    assert set(masks) == {f"{n}.weight" for n in mk.prunable(net, "kernels")}
    for name, mask in masks.items():
        kernels = mask.flatten(2).any(2)
        assert torch.equal(mask, kernels[:, :, None, None].expand_as(mask)), name
        assert int(kernels.sum()) == mk.kept_count(kernels.numel(), 0.5)
    assert not masks["layer4.0.conv2.weight"].flatten(2).any(2).all(0).any()  # no whole channels
