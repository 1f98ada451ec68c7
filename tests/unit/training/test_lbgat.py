"""LBGAT and its guide: closed forms on linear nets, and a guide that lives as long as its phase."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from advprune.models.plain import fresh
from advprune.plan.specs import Recipe, Threat
from advprune.pruning import masks as mk
from advprune.pruning.parametrization import attach, remove
from advprune.pruning.reparam import Product
from advprune.training.distill import Bottleneck
from advprune.training.monitor import accuracy, robust_accuracy
from advprune.training.objective import begin, make
from advprune.training.objectives.lbgat import Lbgat
from advprune.training.objectives.trades import Trades
from helpers.small import blobs
from helpers.training import RECIPE, THREAT, KillAt, trainer
from helpers.watching import check_fit_resumes

STILL = Threat(eps=0.0, step=0.0, steps=1)


class Linear(nn.Module):
    """Logits are one row of weights for each of three classes."""

    def __init__(self, seed):
        super().__init__()
        weight = torch.randn(3, 6, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return F.linear(x.flatten(1), self.weight)


@pytest.fixture
def images(rng):
    return 0.3 + 0.4 * torch.rand(5, 1, 2, 3, generator=rng), torch.tensor([0, 1, 2, 1, 0])


def guided(threat, beta, guide):
    objective = Lbgat(threat, beta)
    objective.guide = guide
    return objective


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("beta", [0.0, 6.0])
def test_the_loss_is_the_guides_cross_entropy_the_distance_of_logits_and_the_divergence(
    images, beta
):
    (x, y), net, guide = images, Linear(1), Linear(2)
    attacked = Trades(THREAT).attack(net, x, seeded())
    ours, clean, wanted = net(attacked), net(x), guide(x)
    labels = -wanted.log_softmax(1)[torch.arange(5), y].mean()
    distance = (ours - wanted).square().sum() / (5 * 3)
    p, q = clean.softmax(1), ours.softmax(1)
    expected = labels + distance + beta * (p * (p.log() - q.log())).sum(1).mean()
    assert torch.allclose(guided(THREAT, beta, guide).loss(net, x, y, seeded()), expected)


def test_two_nets_that_agree_on_unmoved_images_leave_the_cross_entropy_alone(images):
    (x, y), net = images, Linear(1)
    loss = guided(STILL, 6.0, copy.deepcopy(net)).loss(net, x, y, seeded())
    assert torch.allclose(loss, F.cross_entropy(net(x), y))
    loss.backward()
    assert net.weight.grad.abs().max() < 1e-6  # nothing to learn from a guide that agrees


def test_the_distance_moves_the_guide_and_labels_reach_the_net_through_it_alone(images):
    (x, y), net, guide = images, Linear(1), Linear(2)
    guided(STILL, 0.0, guide).loss(net, x, y, seeded()).backward()
    rows, (ours, wanted) = x.flatten(1), (net(x), guide(x))
    towards = 2 * (wanted - ours) / ours.numel()
    surprise = (wanted.softmax(1) - F.one_hot(y, 3)) / len(y)
    assert torch.allclose(net.weight.grad, -towards.T @ rows, atol=1e-6)
    assert torch.allclose(guide.weight.grad, (towards + surprise).T @ rows, atol=1e-6)


def test_the_net_meets_attacked_images_in_the_ball_then_clean_ones_and_the_guide_clean_ones(net):
    seen = {"net": [], "guide": []}
    objective = Lbgat(THREAT, beta=0.0)
    guide = objective.begin(net, seeded())
    net.train()
    for name, module in (("net", net), ("guide", guide)):
        module.register_forward_pre_hook(
            lambda module, given, name=name: (
                seen[name].append(given[0].detach()) if module.training else None
            )
        )
    x = blobs(9).images / 255
    objective.loss(net, x, blobs(9).labels, seeded())
    attacked, clean = seen["net"]
    assert torch.equal(clean, x) and [torch.equal(g, x) for g in seen["guide"]] == [True]
    assert 0.9 * THREAT.eps < (attacked - x).abs().max() <= THREAT.eps + 1e-6
    assert attacked.min() >= 0 and attacked.max() <= 1
    assert not attacked.requires_grad


def test_a_guide_is_dense_plain_and_fresh_beside_a_net_that_is_none_of_it(net):
    names = set(net.state_dict())
    masks = mk.weight_masks(net, mk.rank(mk.magnitudes(net, "unstructured"), 0.9), "unstructured")
    mk.apply(net, masks)
    attach(net, "unstructured", lambda name, weight: Product(torch.ones_like(weight)))
    net.eval().requires_grad_(False)
    x = blobs(6).images / 255
    before = net(x)
    guide = fresh(net, seeded())
    assert set(guide.state_dict()) == names
    assert not any(parametrize.is_parametrized(module) for module in guide.modules())
    assert all(p.requires_grad for p in guide.parameters())
    assert all(module.training for module in guide.modules())
    assert all(w.count_nonzero() == w.numel() for w in mk.weights(guide).values())
    # the net is as it was, and can be made a plain one as ever
    assert torch.equal(net(x), before) and parametrize.is_parametrized(net.conv1)
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    remove(net)
    assert set(net.state_dict()) == names
    assert torch.equal(net(x), before)


def test_a_guide_is_drawn_from_the_generator_and_sees_images_as_the_net_does(net):
    first, again, other = (fresh(net, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    assert not torch.equal(first.conv1.weight, net.conv1.weight)
    assert torch.equal(first.normalize.mean, net.normalize.mean)


@pytest.mark.parametrize("step", [1, 7])
def test_the_guide_survives_a_kill_to_the_same_bits(net, tmp_path, step):
    start = copy.deepcopy(net.state_dict())

    def run(folder, kill):
        net.load_state_dict(start)
        objective = make({"name": "lbgat"}, THREAT)
        history = trainer(folder).fit(net, objective, RECIPE, "p", [KillAt(kill)])
        states = (*net.state_dict().values(), *objective.guide.state_dict().values())
        return [tensor.clone() for tensor in states], history

    check_fit_resumes(run, tmp_path, step)


def test_every_phase_begins_with_a_guide_of_its_own(net, tmp_path):
    """A pass of no epochs shows what a phase would begin with."""
    objective, guides = make({"name": "lbgat"}, THREAT), []
    for phase in ("first", "second", "first"):
        trainer(tmp_path).fit(net, objective, Recipe(epochs=0, batch=16), phase)
        guides.append(objective.guide.conv1.weight)
    assert not torch.equal(guides[0], guides[1]) and torch.equal(guides[0], guides[2])


def test_the_guide_learns_along_also_where_a_method_chooses_the_nets_parameters(net, tmp_path):
    objective = make({"name": "lbgat"}, THREAT)
    recipe = Recipe(epochs=1, batch=16, lr=0.05)
    trainer(tmp_path).fit(net, objective, Recipe(epochs=0, batch=16), "p")
    before = objective.guide.conv1.weight.detach().clone()
    still = net.conv1.weight.detach().clone()
    trainer(tmp_path).fit(
        net,
        objective,
        recipe,
        "p",
        parameters=iter([{"params": [net.fc.weight], "weight_decay": 0.0}]),
    )
    assert torch.equal(net.conv1.weight, still)
    assert not torch.equal(objective.guide.conv1.weight, before)


def test_other_objectives_have_an_empty_companion_and_a_wrapped_one_is_found(net):
    plain = make({"name": "trades"}, THREAT)
    assert list(begin(plain, net, seeded()).parameters()) == []
    inner = Lbgat(THREAT)
    wrapped = Bottleneck(inner, inputs=0.1, labels=0.1, sigma=5.0)
    assert begin(wrapped, net, seeded()) is inner.guide
    assert wrapped.loss(net, blobs(8).images / 255, blobs(8).labels, seeded()).isfinite()


def test_without_a_guide_there_is_no_loss(net):
    with pytest.raises(ValueError, match="no guide before begin"):
        Lbgat(THREAT).loss(net, blobs(3).images / 255, blobs(3).labels, seeded())


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0, 6])
def test_training_with_it_makes_a_net_accurate_and_robust(net, tmp_path, beta):
    recipe = Recipe(epochs=20, batch=16, lr=0.1, schedule="onecycle")
    objective = make({"name": "lbgat", "beta": beta}, THREAT)
    trainer(tmp_path, images=90).fit(net, objective, recipe, "p")
    test = blobs(60, 2)
    assert accuracy(net, test) > 0.8 and accuracy(objective.guide, test) > 0.8
    assert robust_accuracy(net, test, THREAT, seeded()) > 0.5
