"""docs/methods/rsr.md, "What must hold"."""

import copy

import pytest
import torch
from torch import nn

from advprune.methods import base, rsr
from advprune.methods.base import Task
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.parametrization import attach
from advprune.training.loop import Loop
from advprune.training.objective import make
from helpers.methods import task_for
from helpers.small import blobs
from helpers.training import THREAT


def test_noise_has_the_deviation_of_the_whole_weight_per_channel(rng):
    weight = torch.randn(3, 50, 6, 6, generator=rng) * torch.tensor([1.0, 2, 5]).view(-1, 1, 1, 1)
    noise = rsr.Noise(weight, 0.25)
    assert noise.alpha.tolist() == [0.25] * 3
    assert torch.equal(noise(weight), weight)
    noise.rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        noise.alpha.copy_(torch.tensor([0.0, 0.5, -2.0]))
    first, second = noise(weight), noise(weight)
    assert torch.equal(first[0], weight[0]) and not torch.equal(first[1:], second[1:])
    spread = (first - weight).detach().flatten(1).std(1) / weight.std()
    assert spread.tolist() == pytest.approx([0, 0.5, 2], rel=0.05)
    many = torch.stack([noise(weight)[1].detach() for _ in range(300)]).mean(0)
    assert (many - weight[1]).abs().mean() < 0.1 * 0.5 * weight.std()
    assert rsr.Noise(torch.randn(4, 2), 0.1)(torch.ones(4, 2)).shape == (4, 2)


def test_gradients_of_weight_and_scale(rng):
    weight = torch.randn(3, 4, generator=rng, requires_grad=True)
    noise = rsr.Noise(weight.detach(), 0.25)
    noise.rng = torch.Generator().manual_seed(1)
    made = noise(weight)
    eta = (made - weight).detach() / 0.25
    upstream = torch.randn(3, 4, generator=rng)
    (made * upstream).sum().backward()
    assert torch.allclose(weight.grad, upstream)
    assert torch.allclose(noise.alpha.grad, (upstream * eta).sum(1), atol=1e-5)


def prepared(net, lasso=0.3):
    noises = attach(net, "unstructured", lambda _, weight: rsr.Noise(weight, 0.25))
    noisy = rsr.NoisyLasso(net, noises, lasso)
    return noisy, Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), 1, 10)


def test_noise_is_there_between_the_hooks_only(net):
    x = blobs(6).images / 255
    before = net.eval()(x)
    noisy, loop = prepared(net)
    assert torch.equal(net(x), before)
    noisy.before_step(loop)
    assert not torch.allclose(net(x), net(x))  # in evaluation mode as well
    noisy.after_step(loop)
    assert torch.equal(net(x), before)


def test_the_lasso_is_on_the_weights_alone(net):
    sizes = {n: w.abs().sum() for n, w in mk.weights(net).items()}
    noisy, loop = prepared(net)
    noisy.before_step(loop)
    assert noisy.penalty(loop).item() == pytest.approx(0.3, rel=1e-5)
    noisy.penalty(loop).backward()
    grads = {n: p.grad for n, p in net.named_parameters()}
    moved = {n for n, g in grads.items() if g is not None}
    assert moved == {f"{n}.parametrizations.weight.original" for n in sizes}
    factor = 0.3 / float(sum(sizes.values()))
    weight = noisy.weights["fc"]
    assert torch.allclose(grads["fc.parametrizations.weight.original"], factor * weight.sign())
    with torch.no_grad():
        weight.mul_(0)
    rest = sum(size for n, size in sizes.items() if n != "fc")
    assert noisy.penalty(loop).item() == pytest.approx(float(factor * rest), rel=1e-4)


def test_the_scales_of_the_noise_do_not_decay(net):
    noisy, _ = prepared(net)
    groups = noisy.groups(net)
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.5)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert all((noise.alpha == 0.25).all() for noise in noisy.noises.values())
    held = sum(len(g["params"]) for g in groups)
    assert held == len(list(net.parameters())) and len(groups[1]["params"]) == len(noisy.noises)
    assert (net.bn1.weight < 1).all()


def trained(net, folder, lasso, epochs=6):
    task = task_for("rsr", folder, sparsity=0.8, lasso=lasso)
    recipes = task.recipes | {"prune": Recipe(epochs, 16, lr=0.1, schedule="constant")}
    task = Task(**{**vars(task), "recipes": recipes})
    return base.load("rsr").prune(net, task)


def test_more_lasso_makes_more_weights_small(net, tmp_path):
    shares = []
    for lasso in (0.0, 10.0, 100.0):
        twin = copy.deepcopy(net)
        trained(twin, tmp_path / str(lasso), lasso)
        values = torch.cat([w.flatten() for w in mk.weights(twin).values()])
        shares.append(float((values.abs() < 1e-2).float().mean()))
    assert shares[0] + 0.05 < shares[1] and shares[1] + 0.05 < shares[2]


def test_training_moves_the_noise_and_leaves_a_plain_net(net, tmp_path, monkeypatch):
    seen = {}
    after_epoch = rsr.NoisyLasso.after_epoch

    def watched(self, loop, record):
        seen["alpha"] = torch.cat([n.alpha.detach() for n in self.noises.values()])
        seen["weights"] = {n: w.detach().clone() for n, w in self.weights.items()}
        after_epoch(self, loop, record)

    monkeypatch.setattr(rsr.NoisyLasso, "after_epoch", watched)
    masks = trained(net, tmp_path, 0.3, epochs=1)
    assert (seen["alpha"] != 0.25).float().mean() > 0.9
    assert all(torch.equal(w, seen["weights"][n]) for n, w in mk.weights(net).items())
    assert isinstance(net.conv1.weight, nn.Parameter)
    scores = {n: w.abs() for n, w in mk.weights(net).items()}
    kept = mk.rank(scores, 0.8, scope="global", floor=1)
    assert all(torch.equal(masks[f"{n}.weight"], kept[n]) for n in kept)
    shares = [float(k.float().mean()) for k in kept.values()]
    assert max(shares) - min(shares) > 0.05  # not layer by layer


def test_the_loss_is_half_clean_and_half_adversarial(tmp_path):
    task = task_for("rsr", tmp_path)
    for phase in ("prune", "finetune"):
        assert task.objectives[phase] == make({"name": "mixed", "adversarial": 0.5}, THREAT)
