import pytest
import torch
from torch import nn
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.plan.specs import Threat
from advprune.training.inner import pgd
from advprune.training.objective import make
from advprune.training.objectives.mart import Mart
from advprune.training.objectives.trades import Trades

THREAT = Threat(eps=0.1, step=0.04, steps=4)


class Linear(nn.Module):
    """Two classes, one weight row each: the worst Linf perturbation is known in closed form."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[1.0, -2, 3, 0.5, -1, 2], [-1.0, 1, 1, 2, 1, -1]]))
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(x.flatten(1))


@pytest.fixture
def inside(rng):
    """Images far enough from 0 and 1 for the box not to bind."""
    return 0.4 + 0.2 * torch.rand(5, 1, 2, 3, generator=rng), torch.tensor([0, 1, 0, 1, 0])


@pytest.mark.parametrize("start", [True, False])
def test_pgd_reaches_the_closed_form_optimum_of_a_linear_net(inside, rng, start):
    (x, y), net = inside, Linear()
    adversarial = pgd(net, x, y, Threat(0.1, 0.04, 8), rng if start else None)
    away = net.fc.weight[1 - y] - net.fc.weight[y]
    assert torch.allclose(adversarial, x + 0.1 * away.sign().view_as(x), atol=1e-6)


def test_pgd_stays_in_the_ball_and_in_the_box(net, rng):
    x, y = torch.rand(16, 1, 8, 8, generator=rng), torch.arange(16) % 3
    x[:4], x[4:8] = 0.0, 1.0
    adversarial = pgd(net, x, y, THREAT, rng)
    assert (adversarial - x).abs().max() <= 0.1 + 1e-6
    assert (adversarial - x).abs().max() > 0.09
    assert adversarial.min() >= 0 and adversarial.max() <= 1


def test_inner_attacks_touch_neither_the_statistics_nor_the_gradients(net, rng):
    net.train()
    net.fc.bias.requires_grad_(False)
    before = {n: b.clone() for n, b in net.named_buffers()}
    pgd(net, torch.rand(8, 1, 8, 8, generator=rng), torch.arange(8) % 3, THREAT, rng)
    assert all(torch.equal(b, before[n]) for n, b in net.named_buffers())
    assert all(p.grad is None for p in net.parameters())
    assert net.training and net.conv1.weight.requires_grad and not net.fc.bias.requires_grad


def test_fgsm_steps_by_the_whole_radius_from_the_clean_image(inside, rng):
    (x, y), net = inside, Linear()
    loss = make({"name": "fgsm"}, THREAT).loss(net, x, y, rng)
    away = (net.fc.weight[1 - y] - net.fc.weight[y]).sign().view_as(x)
    assert loss.item() == pytest.approx(F.cross_entropy(net(x + 0.1 * away), y).item(), rel=1e-6)


def test_the_mixed_loss_weighs_clean_and_adversarial_images(inside):
    (x, y), net = inside, Linear()
    spec = {"name": "mixed", "adversarial": 0.3, "smoothing": 0.1}
    loss = make(spec, THREAT).loss(net, x, y, torch.Generator().manual_seed(5))
    attacked = pgd(net, x, y, THREAT, torch.Generator().manual_seed(5))
    targets = 0.9 * F.one_hot(y, 2) + 0.05
    clean, robust = (-(targets * net(i).log_softmax(1)).sum(1).mean() for i in (x, attacked))
    assert loss.item() == pytest.approx((0.7 * clean + 0.3 * robust).item(), rel=1e-5)
    assert not attacked.requires_grad


def test_trades_is_cross_entropy_plus_weighted_divergence(inside, rng):
    (x, y), net = inside, Linear()
    objective = Trades(THREAT, beta=3.0)
    adversarial = objective.attack(net, x, torch.Generator().manual_seed(5))
    loss = objective.loss(net, x, y, torch.Generator().manual_seed(5))
    p, q = net(x).softmax(1), net(adversarial).softmax(1)
    expected = F.cross_entropy(net(x), y) + 3.0 * (p * (p.log() - q.log())).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (adversarial - x).abs().max() <= 0.1 + 1e-6


def test_mart_is_boosted_cross_entropy_plus_divergence_weighted_by_failure(inside, rng):
    (x, y), net = inside, Linear()
    away = net.fc.weight[1 - y] - net.fc.weight[y]
    worst = x + 0.1 * away.sign().view_as(x)
    clean, adversarial = net(x).softmax(dim=1), net(worst).softmax(dim=1)
    rows = torch.arange(len(y))
    boosted = -adversarial[rows, y].log() - (1 - adversarial[rows, 1 - y]).log()
    divergence = (clean * (clean / adversarial).log()).sum(dim=1)
    expected = (boosted + 3.0 * divergence * (1 - clean[rows, y])).mean()
    assert torch.allclose(Mart(THREAT, beta=3.0).loss(net, x, y, rng), expected, rtol=1e-4)


def test_mart_stays_finite_when_a_wrong_class_has_all_the_probability(inside, rng):
    (x, y), net = inside, Linear()
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([500.0, -500.0]))
    loss = Mart(THREAT).loss(net, x, y, rng)
    loss.backward()
    assert loss.isfinite() and net.fc.weight.grad.isfinite().all()


def test_the_clean_branch_of_trades_carries_gradient(inside):
    (x, y), net = inside, Linear()
    adversarial = Trades(THREAT).attack(net, x, torch.Generator().manual_seed(5))
    loss = Trades(THREAT).loss(net, x, y, torch.Generator().manual_seed(5))
    (found,) = torch.autograd.grad(loss, net.fc.weight)
    p, q = net(x).softmax(1), net(adversarial).softmax(1)
    full = F.cross_entropy(net(x), y) + 6 * (p * (p.log() - q.log())).sum(1).mean()
    (expected,) = torch.autograd.grad(full, net.fc.weight)
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_natural_objective_is_plain_cross_entropy(inside, rng):
    (x, y), net = inside, Linear()
    loss = make({"name": "natural"}, THREAT).loss(net, x, y, rng)
    assert torch.equal(loss, F.cross_entropy(net(x), y))


def test_unknown_objectives_and_parameters_are_refused():
    with pytest.raises(UserError, match="unknown objective 'madry'"):
        make({"name": "madry"}, THREAT)
    with pytest.raises(UserError, match="'pgd' does not take"):
        make({"name": "pgd", "beta": 6}, THREAT)
