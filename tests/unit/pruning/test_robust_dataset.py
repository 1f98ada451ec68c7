"""Robust datasets: docs/methods/rfp.md, "What must hold"."""

import copy
import dataclasses

import pytest
import torch

from advprune.models.registry import NetSpec, build
from advprune.pruning.robust_dataset import imitate, others, penultimate, robust_dataset
from helpers.small import blobs


def distances(net, images, goal):
    return (penultimate(net, images) - goal).flatten(1).norm(dim=1)


@pytest.mark.parametrize("arch", ["resnet18", "vgg16"])
def test_the_last_layer_reads_the_activations(arch):
    spec = NetSpec(arch, 4, classes=3, channels=1, size=8, mean=(0.5,), std=(0.25,))
    net = build(spec, torch.Generator().manual_seed(1)).eval()
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    last = [m for m in net.modules() if isinstance(m, torch.nn.Linear)][-1]
    activations = penultimate(net, x)
    assert torch.equal(last(activations), net(x))
    assert not last._forward_pre_hooks


def test_every_image_starts_from_another_one(rng):
    for n in (2, 3, 50):
        taken = others(n, rng)
        assert sorted(taken.tolist()) == list(range(n))
        assert not (taken == torch.arange(n)).any()
    assert not torch.equal(others(50, rng), others(50, rng))


def test_one_step_goes_down_the_distance_with_the_length_of_a_step(net, rng):
    net.eval()
    start, x = (0.3 + 0.4 * torch.rand(6, 1, 8, 8, generator=rng) for _ in range(2))
    goal = penultimate(net, x).detach()
    moved = imitate(net, start, goal, steps=1, step=0.01)
    assert (moved - start).flatten(1).norm(dim=1).tolist() == pytest.approx([0.01] * 6, rel=1e-4)
    start.requires_grad_()
    (gradient,) = torch.autograd.grad(distances(net, start, goal).sum(), start)
    along = torch.cosine_similarity((start - moved).flatten(1), gradient.flatten(1))
    assert along.tolist() == pytest.approx([1] * 6, abs=1e-3)


def test_images_come_close_to_what_they_imitate_and_stay_images(net, rng):
    net.eval()
    start, x = (torch.rand(6, 1, 8, 8, generator=rng) for _ in range(2))
    goal = penultimate(net, x).detach()
    moved = imitate(net, start, goal, steps=60, step=0.1)
    assert moved.min() >= 0 and moved.max() <= 1
    ratios = distances(net, moved, goal) / distances(net, start, goal)
    assert ratios.median() < 0.5 and ratios.max() < 1


def test_imitating_itself_changes_nothing(net, rng):
    net.eval()
    x = torch.rand(4, 1, 8, 8, generator=rng)
    assert torch.equal(imitate(net, x, penultimate(net, x).detach(), steps=3, step=0.1), x)


def test_a_robust_dataset_is_a_dataset_with_the_same_labels(net):
    split = blobs(21)
    before = copy.deepcopy(net.train().state_dict())
    made = robust_dataset(net, split, 20, 0.1, torch.Generator().manual_seed(1), batch=8)
    assert torch.equal(made.labels, split.labels)
    assert made.images.shape == split.images.shape and made.images.dtype == torch.uint8
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    net.eval()
    goal = penultimate(net, split.images / 255)
    taken = others(21, torch.Generator().manual_seed(1))
    untouched = split.images[taken] / 255
    assert (distances(net, made.images / 255, goal) < distances(net, untouched, goal)).all()


def test_no_steps_give_the_other_images(net):
    split = blobs(9)
    made = robust_dataset(net, split, 0, 0.1, torch.Generator().manual_seed(1), batch=4)
    assert torch.equal(made.images, split.images[others(9, torch.Generator().manual_seed(1))])
    again = dataclasses.replace(split)
    same = robust_dataset(net, again, 0, 0.1, torch.Generator().manual_seed(1), batch=9)
    assert torch.equal(made.images, same.images)  # the size of the batches does not matter


def test_pixels_are_rounded_and_not_cut(net, rng, monkeypatch):
    def between(_net, start, *_):
        return torch.full_like(start, 100.7 / 255)

    monkeypatch.setattr("advprune.pruning.robust_dataset.imitate", between)
    assert (robust_dataset(net, blobs(4), 1, 0.1, rng).images == 101).all()
