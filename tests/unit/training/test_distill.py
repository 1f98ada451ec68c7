"""Distillation and HSIC against closed forms and the figures of docs/methods/pwoa.md."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from advprune.models.registry import NetSpec, build
from advprune.training.distill import (
    Bottleneck,
    Distilled,
    gaussian_kernel,
    hidden,
    kd_loss,
    nhsic,
    normalised,
)
from advprune.training.objective import make
from helpers.small import SMALL, blobs
from helpers.training import THREAT


def batch(n=16):
    split = blobs(n)
    return split.images / 255, split.labels


def test_the_loss_is_the_divergence_from_the_teacher_times_temperature_squared(rng):
    student, teacher = (torch.randn(5, 10, generator=rng) for _ in range(2))
    q, p = F.softmax(student / 30, 1), F.softmax(teacher / 30, 1)
    expected = 900 * (p * (p / q).log()).sum(1).mean()
    assert kd_loss(student, teacher, 30) == pytest.approx(expected.item(), rel=1e-3)
    # the other direction is another number
    assert kd_loss(3 * student, teacher, 1) != pytest.approx(kd_loss(teacher, 3 * student, 1))


def test_what_independent_logits_cost(rng):
    """At high temperature half the variance over the classes of the difference of the logits.

    Its entries have the variance 2, and the mean over the classes takes a tenth of it: 0.9. Over
    4,000 images the standard error is 0.007.
    """
    student, teacher = (torch.randn(4000, 10, generator=rng) for _ in range(2))
    # the authors' mean runs over the ten classes as well, and their weight is 10
    assert 10 / 10 * kd_loss(student, teacher, 30) == pytest.approx(0.9, abs=0.03)


def test_a_net_in_evaluation_mode_has_nothing_to_learn_from_itself(net, rng):
    x, y = batch()
    objective = Distilled(net, 30, weight=10)
    net.eval()
    loss = objective.loss(net, x, y, rng)
    loss.backward()
    assert abs(loss.item()) < 1e-4
    assert all(p.grad.abs().max() < 1e-4 for p in net.parameters())


def test_the_teacher_stays_as_it_was_and_sees_clean_images(net, rng):
    x, y = batch()
    before = copy.deepcopy(net.state_dict())
    seen = []
    objective = Distilled(net, 4, attack=lambda net, x, y, generator: 1 - x)
    objective.teacher.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    net.train()
    net.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        objective.loss(net, x, y, rng).backward()
        optimizer.step()
    assert torch.equal(seen[0], 1 - x) and torch.equal(seen[1], x)
    theirs = objective.teacher.state_dict()
    assert all(torch.equal(theirs[n], v) for n, v in before.items())
    assert all(p.grad is None for p in objective.teacher.parameters())


def test_labels_enter_with_their_weight(net, rng):
    x, y = batch()
    other = build(SMALL, torch.Generator().manual_seed(8))
    net.eval()
    only = Distilled(other, 4, weight=0.3).loss(net, x, y, rng)
    both = Distilled(other, 4, weight=0.3, labels=0.7).loss(net, x, y, rng)
    assert (both - only).item() == pytest.approx(0.7 * F.cross_entropy(net(x), y).item(), rel=1e-4)
    clean = Distilled(other, 4, weight=0.0, labels=1.0).loss(net, x, y, rng)
    natural = make({"name": "natural"}, THREAT).loss(net, x, y, rng)
    assert clean.item() == pytest.approx(natural.item())


# nHSIC


def r(rows, sigma=5.0):
    return normalised(gaussian_kernel(rows.double(), sigma))


def test_the_kernel_is_that_of_the_equation(rng):
    rows = torch.randn(4, 7, generator=rng, dtype=torch.float64)
    kernel = gaussian_kernel(rows, 2.0)
    expected = torch.exp(-(rows[1] - rows[3]).square().sum() / (2 * 4 * 7))
    assert kernel[1, 3].item() == pytest.approx(expected.item())
    assert torch.allclose(kernel.diagonal(), torch.ones(4, dtype=torch.float64))


def test_the_normalised_kernel_is_that_of_the_equation(rng):
    kernel = gaussian_kernel(torch.randn(6, 3, generator=rng, dtype=torch.float64), 1.0)
    centred = kernel @ (torch.eye(6) - torch.ones(6, 6) / 6).double()
    shifted = centred + 1e-2 * 6 * torch.eye(6).double()
    assert torch.allclose(normalised(kernel, 1e-2), centred @ shifted.inverse())


def test_symmetric_bounded_and_zero_for_a_constant(rng):
    a, b = (torch.randn(32, 5, generator=rng) for _ in range(2))
    assert nhsic(r(a), r(b)).item() == pytest.approx(nhsic(r(b), r(a)).item(), rel=1e-6)
    assert nhsic(r(a), r(torch.ones(32, 5))).item() == pytest.approx(0, abs=1e-6)
    assert 0 < nhsic(r(a), r(a)).item() < 32


def test_the_figures_of_the_page(rng):
    y = torch.randint(10, (128,), generator=rng)
    classes = F.one_hot(y, 10).double()
    labels = normalised(classes @ classes.T)
    free = torch.randn(128, 512, generator=rng)
    # in many dimensions K is 1 on the diagonal and exp(-1/25) elsewhere
    spread = 1 - math.exp(-1 / 25)
    expected = 9 * spread / (spread + 128e-5)
    assert nhsic(labels, r(free)).item() == pytest.approx(expected, abs=0.2)
    told = torch.randn(10, 512, generator=rng)[y]
    assert nhsic(labels, r(told)).item() == pytest.approx(9.0, abs=0.1)
    noise = torch.rand(128, 3072, generator=rng)
    assert nhsic(r(noise), r(noise)).item() == pytest.approx(65, abs=5)


@pytest.mark.parametrize(("arch", "size", "count"), [("resnet18", 8, 10), ("vgg16", 32, 6)])
def test_hidden_layers_are_those_of_the_authors(arch, size, count):
    net = build(NetSpec(arch, 2, 3, 1, size, (0.5,), (0.25,)))
    x = torch.rand(4, 1, size, size)
    with hidden(net) as layers:
        logits = net(x)
    assert len(layers) == count
    assert all(
        torch.autograd.grad(z.sum(), net.parameters(), retain_graph=True, allow_unused=True)
        for z in layers.values()
    )
    if arch == "resnet18":
        assert torch.equal(net.fc(layers["fc"]), logits)
        assert torch.equal(layers["layer4.1 out"].mean((2, 3)), layers["fc"])
        assert layers["layer1.0"].shape == (4, 2, 8, 8) and layers["layer1.0"].min() == 0
    seen = dict(layers)
    net(x + 1)
    assert all(layers[n] is z for n, z in seen.items())  # nothing is recorded outside


def test_the_bottleneck_adds_its_two_sums(net, rng):
    x, y = batch()
    net.eval()
    base = make({"name": "natural"}, THREAT)
    with hidden(net) as layers:
        plain = base.loss(net, x, y, rng)
    classes = F.one_hot(y).double()
    labels = normalised(classes @ classes.T)
    zs = [r(z.flatten(1)) for z in layers.values()]
    with_x = sum(nhsic(r(x.flatten(1)), z) for z in zs)
    with_y = sum(nhsic(labels, z) for z in zs)
    loss = Bottleneck(base, 0.3, 0.2, 5.0).loss(net, x, y, rng)
    assert loss.item() == pytest.approx((plain + 0.3 * with_x - 0.2 * with_y).item())
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
