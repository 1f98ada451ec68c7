"""docs/methods/fsrp.md, "What must hold"."""

import copy
import dataclasses
import math

import pytest
import torch

from advprune.methods import base, fsrp
from advprune.models.registry import build
from advprune.pruning import masks as mk
from helpers.methods import task_for
from helpers.small import SMALL


def ratio(maps, cutoff=0.5):
    low, high = fsrp.spectra(maps, cutoff)
    return low / (high + 1e-8)


def draw(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_constant_maps_are_low_and_checkerboards_high():
    grid = torch.arange(8)
    board = ((grid[:, None] + grid) % 2 * 2.0 - 1).expand(1, 1, 8, 8)
    assert ratio(torch.ones(1, 1, 8, 8)) > 1e6
    assert ratio(board) < 1e-6
    assert ratio(torch.zeros(1, 1, 8, 8)) == 0  # a dead filter ranks lowest and is a number


@pytest.mark.parametrize(("frequency", "low"), [(1, True), (3, True), (4, True), (5, False)])
def test_a_wave_counts_by_its_frequency(frequency, low):
    """Along one axis of 16 pixels the highest frequency is 8, and half of it 4."""
    wave = torch.cos(2 * math.pi * frequency * torch.arange(16) / 16).expand(1, 1, 16, 16)
    assert (ratio(wave) > 1e3) == low


def test_the_low_frequencies_are_a_disc():
    """(3, 3) of (8, 8) lies at 0.53 of the highest, though both components are below half."""
    part = fsrp.low_frequencies(16, 16, 0.5, torch.device("cpu"))
    assert part[0, 0] and part[4, 0] and part[0, -4] and not part[3, 3] and part[2, 3]
    assert not part[5, 0] and part[-4, 0] and not part[-5, 0]
    pair = fsrp.low_frequencies(2, 2, 0.5, torch.device("cpu"))
    assert pair.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (4, 6)])
def test_low_and_high_share_out_the_whole_spectrum(size):
    maps = draw(3, 2, *size)
    whole = torch.fft.fft2(maps.double()).abs().sum((0, 2, 3))
    assert torch.allclose(fsrp.spectra(maps, 0.5).sum(0), whole)
    low = fsrp.low_frequencies(*size, 0.5, maps.device)
    # frequencies come in pairs ±f, which must fall on one side together
    assert torch.equal(low, low.roll((-1, -1), (0, 1)).flip((0, 1)))


def test_scale_shift_and_order_do_not_matter_but_blur_does():
    maps = draw(4, 3, 8, 8)
    first = ratio(maps)
    assert torch.allclose(ratio(7 * maps), first)
    assert torch.allclose(ratio(maps.roll((2, 3), (2, 3))), first)
    assert torch.allclose(ratio(maps.flip(0)), first)
    padded = torch.nn.functional.pad(maps, (1, 1, 1, 1), mode="circular")
    assert (ratio(torch.nn.functional.avg_pool2d(padded, 3, 1)) > first).all()


def test_every_layer_loses_its_lowest_ratios(net, tmp_path):
    task = task_for("fsrp", tmp_path, "filters", 0.5)
    before = copy.deepcopy(net.state_dict())
    scores = fsrp.ratios(net, task)
    masks = base.load("fsrp").prune(net, task)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    for name in mk.prunable(net, "filters"):
        alive = masks[f"{name}.weight"].flatten(1).any(1)
        assert int(alive.sum()) == mk.kept_count(len(alive), 0.5)
        assert scores[name][alive].min() >= scores[name][~alive].max()


def test_maps_of_one_pixel_are_ranked_by_norm(tmp_path):
    """In a net for 32×32 images, 8×8 images end as 1×1 maps in the last stage."""
    net = build(dataclasses.replace(SMALL, size=32))
    scores = fsrp.ratios(net, task_for("fsrp", tmp_path, "filters", 0.5))
    norms = mk.magnitudes(net, "filters", order=1)
    flat = {n for n in scores if torch.equal(scores[n], norms[n])}
    assert flat == {n for n in scores if n.startswith("layer4")}


def test_the_images_are_attacked_and_the_counts_as_asked(net, tmp_path, monkeypatch):
    asked = []

    def spy(net, x, y, threat, rng):
        asked.append(len(x))
        return x

    task = task_for("fsrp", tmp_path, "filters", 0.5, batch=10, batches=3)
    attacked = fsrp.ratios(net, task)
    monkeypatch.setattr("advprune.pruning.saliency.pgd", spy)
    clean = fsrp.ratios(net, task)
    assert asked == [10, 10, 10]
    assert not torch.equal(attacked["conv1"], clean["conv1"])


def flat_stem(net):
    """The stem's maps of filters 1 and 3 hardly vary, the latter's more; filter 2 is dead."""
    with torch.no_grad():
        net.bn1.weight[1:] = torch.tensor([0.0, 0.0, 0.01])
        net.bn1.bias[1:] = torch.tensor([1.0, -1.0, 1.0])
    return net


@pytest.mark.parametrize(
    ("sparsity", "kept"),
    [(0.25, [True, True, False, True]), (0.5, [True, False, False, True])],
)
def test_dead_filters_go_first_and_flat_ones_next(net, tmp_path, sparsity, kept):
    """Without high frequencies their ratio is the highest: alone it would keep them to the last."""
    task = task_for("fsrp", tmp_path, "filters", sparsity)
    masks = base.load("fsrp").prune(flat_stem(net), task)
    assert masks["conv1.weight"].flatten(1).any(1).tolist() == kept


def test_a_filter_that_sees_something_stays_before_flat_ones(net, tmp_path):
    flat_stem(net)
    task = task_for("fsrp", tmp_path, "filters", 0.75)
    masks = base.load("fsrp").prune(net, task)
    assert masks["conv1.weight"].flatten(1).any(1).tolist() == [True, False, False, False]
    alone = base.load("fsrp").prune(net, task_for("fsrp", tmp_path, "filters", 0.75, flat=0))
    assert alone["conv1.weight"].flatten(1).any(1).tolist() == [False, True, False, False]


def test_flat_is_measured_against_the_median_of_live_filters():
    ratios = torch.tensor([1.0, 2.0, 900.0, 0.0, 3.0])
    found = torch.tensor([1.0, 1.0, 0.03, 0.0, 0.5])  # the median is 0.75
    ranked = fsrp.flat_last(ratios, found, 0.05)
    assert ranked.tolist() == pytest.approx([1.0, 2.0, 0.04 - 1, -1.0, 3.0])
    assert fsrp.flat_last(ratios, found, 0.03).tolist() == [1.0, 2.0, 900.0, -1.0, 3.0]
    assert torch.equal(fsrp.flat_last(ratios, torch.zeros(5), 0.05), ratios)


def test_variance_is_over_the_pixels_of_a_map():
    maps = torch.tensor([[[1.0, 3.0]], [[5.0, 5.0]]]).view(2, 1, 1, 2)
    assert fsrp.variances(maps).tolist() == [1.0]  # of both images; their means do not count
