import itertools
import sys
import types

import pytest
import torch
from torch import nn

from advprune.attacks import fmn as module
from advprune.attacks.boundary import LOSSES, misclassified
from advprune.attacks.fmn import OPTIMIZERS, SCHEDULES, FmnConfig, fmn, fmn_in_batches
from advprune.base.errors import UserError
from advprune.base.seeds import generator
from advprune.models.frozen import frozen
from helpers.attacked_nets import Constant, digits_case, linear_case

VARIANTS = list(itertools.product(LOSSES, OPTIMIZERS, SCHEDULES))


@pytest.mark.parametrize("shape", [(12,), (3, 4), (3, 4, 4)])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_linear_net_closed_form(shape, batch):
    net, x, y, distance = linear_case(shape)
    found = fmn(net, x[:batch], y[:batch], steps=100)
    assert found.found.all()
    ratio = found.distance / distance[:batch]
    assert ratio.min() >= 1 - 1e-4  # nothing is nearer than the boundary
    assert ratio.max() <= 1.01


def test_linear_net_with_many_rivals():
    # the attack follows the runner-up by logit, which need not be the nearest class
    net, x, y, distance = linear_case((3, 4, 4), rivals=9)
    ratio = fmn(net, x, y, steps=100).distance / distance
    assert ratio.min() >= 1 - 1e-4
    assert ratio.max() <= 1.25
    assert ratio.median() <= 1.02


@pytest.mark.parametrize(("loss", "optimizer", "schedule"), VARIANTS)
def test_every_variant_on_linear_net(loss, optimizer, schedule):
    net, x, y, distance = linear_case((3, 4))
    config = FmnConfig(loss=loss, optimizer=optimizer, schedule=schedule, step_size=0.1)
    ratio = fmn(net, x, y, steps=100, config=config).distance / distance
    assert ratio.min() >= 1 - 1e-4
    assert ratio.max() <= 1.01


def test_momentum_and_random_start_on_linear_net():
    net, x, y, distance = linear_case((12,))
    config = FmnConfig(momentum=0.7, random_start=0.05)
    found = fmn(net, x, y, steps=100, config=config, generator=generator(0, "start"))
    assert (found.distance / distance).max() <= 1.01
    assert (found.forwards, found.backwards) == (102, 100)
    with pytest.raises(ValueError, match="generator"):
        fmn(net, x, y, steps=1, config=config)


def test_found_adversarials_are_what_they_claim():
    net, x, y = digits_case()
    found = fmn(net, x[:64], y[:64], steps=30)
    wrong = misclassified(net(found.adversarial), y[:64])
    assert torch.equal(wrong, found.found)
    assert torch.equal((found.adversarial - x[:64]).abs().amax((1, 2, 3)), found.distance)
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
    assert (found.forwards, found.backwards) == (31, 30)


def test_misclassified_is_zero_and_unbreakable_is_infinite():
    x = torch.rand(3, 5, generator=generator(0, "x"))
    found = fmn(Constant(), x, torch.tensor([0, 1, 0]), steps=10)
    assert found.distance.tolist() == [torch.inf, 0, torch.inf]
    assert found.found.tolist() == [False, True, False]
    assert torch.equal(found.adversarial, x)


def test_collapsed_net_is_broken_everywhere():
    net, x, y, _ = linear_case((12,))
    net.weight.data.fill_(torch.nan)
    assert (fmn(net, x, y, steps=3).distance == 0).all()


def test_boundary_that_newton_steps_never_cross():
    class Parabola(nn.Module):
        """The logit difference falls to 0 with slope 0 at distance 0.4: estimates fall short."""

        def forward(self, x):
            left = 0.9 - x
            gap = torch.where(left > 0, left.square(), left)
            return torch.cat([gap, 0 * gap], 1)

    found = fmn(Parabola(), torch.tensor([[0.5]]), torch.tensor([0]), steps=100)
    assert found.distance.item() == pytest.approx(0.4, rel=0.01)


def test_the_last_step_is_looked_at():
    class Steeper(nn.Module):
        """The logit difference 1 - 2 x² falls ever faster: one estimate lands well beyond 0."""

        def forward(self, x):
            return torch.cat([1 - 2 * x.square(), 0 * x], 1)

    x, y = torch.tensor([[0.5]]), torch.tensor([0])
    found = fmn(Steeper(), x, y, steps=1, config=FmnConfig(step_size=1.0))
    assert found.distance.tolist() == [0.25]  # a half, by a slope of 2


def test_eps_shrinks_inside_and_grows_outside():
    best = module._Best(torch.full((4, 2), 0.5))
    best.distance = torch.tensor([0.2, 0.2, torch.inf, torch.inf])
    grown, boundary = torch.tensor([0.22, 0.22, 0.3, 0.9]), torch.tensor([0.1, 0.4, 0.1, 0.7])
    wrong = torch.tensor([True, False, False, False])
    eps = module._next_eps(grown, boundary, wrong, best, shrink=0.9)
    assert eps.tolist() == pytest.approx([0.18, 0.22, 0.3, 0.5])


def test_plateau_shrinks_the_step_of_idle_samples_only():
    plateau = module._Plateau(FmnConfig(step_size=1.0, factor=0.5, patience=2), torch.zeros(3))
    no, found = torch.zeros(3, dtype=torch.bool), torch.tensor([False, False, True])
    rates = []
    for step in range(7):
        # sample 0 gains loss, sample 1 does not; sample 2 has been found and comes no nearer
        rate = plateau(torch.tensor([float(step), 1.0, float(step)]), no, found)
        rates.append(rate.tolist())
    assert [rate[0] for rate in rates] == [1] * 7
    assert [rate[1] for rate in rates] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert [rate[2] for rate in rates] == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    for _ in range(60):
        rate = plateau(torch.zeros(3), no, found)
    assert rate.tolist() == pytest.approx([0.01] * 3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_the_usual_ones(name):
    config = FmnConfig(optimizer=name, momentum=0.7, beta1=0.8, beta2=0.95)
    point = torch.zeros(5, requires_grad=True)
    options = {"momentum": 0.7} if name == "SGD" else {"betas": (0.8, 0.95)}
    reference = getattr(torch.optim, name)([point], lr=0.1, maximize=True, **options)
    ours, memory, rng = torch.zeros(5), {}, generator(0, "gradients")
    for step in range(1, 6):
        point.grad = torch.randn(5, generator=rng)
        ours = ours + 0.1 * module._ascent(config, point.grad, memory, step)
        reference.step()
        assert torch.allclose(ours, point, atol=1e-5)


def test_result_does_not_depend_on_the_batch():
    net, x, y = digits_case()
    net, x, y = net.double(), x[:12].double(), y[:12]
    try:
        for schedule, optimizer in itertools.product(SCHEDULES, OPTIMIZERS):
            config = FmnConfig(schedule=schedule, optimizer=optimizer)
            together = fmn(net, x, y, steps=30, config=config)
            alone = fmn_in_batches(net, x.flip(0), y.flip(0), steps=30, batch_size=5, config=config)
            assert torch.allclose(alone.distance.flip(0), together.distance, atol=1e-6)
            assert torch.allclose(alone.adversarial.flip(0), together.adversarial, atol=1e-6)
    finally:
        net.float()


def test_memory_layout_does_not_matter():
    net, x, y, _ = linear_case((3, 4, 4))
    plain = fmn(net, x, y, steps=40)
    for other in (x.to(memory_format=torch.channels_last), x.mT.contiguous().mT):
        assert not other.is_contiguous()
        found = fmn(net, other, y, steps=40)
        assert torch.allclose(found.distance, plain.distance, atol=1e-6)


def test_start_is_never_lost_and_improves():
    net, x, y = digits_case()
    x, y = x[:32], y[:32]
    far = fmn(net, x, y, steps=5)
    config = FmnConfig(step_size=0.02)
    kept = fmn(net, x, y, steps=1, config=config, start=far.adversarial)
    assert (kept.distance <= far.distance).all()
    better = fmn(net, x, y, steps=50, config=config, start=far.adversarial)
    assert (better.distance <= far.distance).all()
    assert better.distance.median() < far.distance.median()
    assert better.forwards == 52
    useless = fmn(net, x, y, steps=50, start=torch.zeros_like(x).add(x))
    assert (useless.distance - fmn(net, x, y, steps=50).distance).abs().max() == 0


def test_already_wrong_samples_stay_at_zero_with_a_start():
    net, x, _ = digits_case()
    other = (net(x[:4]).argmax(1) + 1) % 10
    found = fmn(net, x[:4], other, steps=3, start=x[4:8])
    assert (found.distance == 0).all()


def test_not_worse_than_the_reference_implementation():
    sys.modules.setdefault("visdom", types.ModuleType("visdom"))  # imported there, not used
    from adv_lib.attacks import fmn as reference

    net, x, y = digits_case()
    keep = ~misclassified(net(x[:200]), y[:200])
    x, y = x[:200][keep], y[:200][keep]
    with frozen(net):
        adversarial = reference(net, x, y, norm=torch.inf, steps=100)
        theirs = (adversarial - x).abs().amax((1, 2, 3))
        # the reference returns the input itself where it found nothing
        theirs[~misclassified(net(adversarial), y)] = torch.inf
    ours = fmn(net, x, y, steps=100)
    assert ours.found.all()
    assert ours.distance.median() <= 1.02 * theirs.median()


@pytest.mark.parametrize("name", ["loss", "optimizer", "schedule"])
def test_unknown_choices_are_refused(name):
    with pytest.raises(UserError, match="is not one of"):
        FmnConfig(**{name: "nonsense"})


def test_config_round_trip():
    config = FmnConfig(loss="CE", gamma=0.1)
    assert FmnConfig.from_dict(config.to_dict()) == config
    with pytest.raises(UserError, match="unknown FMN settings: alpha"):
        FmnConfig.from_dict({"alpha": 1})


def test_batches_report_progress_and_join():
    net, x, y = digits_case()
    seen = []
    found = fmn_in_batches(net, x[:10], y[:10], steps=2, batch_size=4, progress=seen.append)
    assert len(found.distance) == len(found.adversarial) == len(found.found) == 10
    assert seen == [4, 4, 2]
