import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from advprune.plan.specs import Recipe, Threat
from advprune.pruning import masks as mk
from advprune.pruning.sparse import Admm, ScoreMask, attach_scores, fold_scores, scaled_scores
from advprune.training.loop import Loop
from advprune.training.objective import make


def test_the_gradient_of_a_score_is_sign_times_weight_times_upstream(rng):
    weight = torch.randn(4, 5, generator=rng)
    scores = torch.randn(4, 5, generator=rng)
    mask = ScoreMask(scores, keep=8, structure="unstructured")
    upstream = torch.randn(4, 5, generator=rng)
    (mask(weight) * upstream).sum().backward()
    assert torch.allclose(mask.scores.grad, scores.sign() * weight * upstream)
    removed = mask(weight) == 0
    assert removed.sum() == 12 and mask.scores.grad[removed].abs().min() > 0


@pytest.mark.parametrize(("structure", "axis"), [("filters", 0), ("channels", 1)])
def test_unit_scores_mask_whole_units_and_sum_their_gradients(rng, structure, axis):
    weight = torch.randn(4, 6, 3, 3, generator=rng)
    scores = torch.randn(weight.shape[axis], generator=rng)
    mask = ScoreMask(scores, keep=2, structure=structure)
    out = mask(weight)
    alive = out.transpose(0, axis).flatten(1).abs().sum(1) > 0
    assert alive.tolist() == mk.top_k(scores.abs(), 2).tolist()
    upstream = torch.randn(weight.shape, generator=rng)
    (out * upstream).sum().backward()
    expected = scores.sign() * (weight * upstream).transpose(0, axis).flatten(1).sum(1)
    assert torch.allclose(mask.scores.grad, expected, atol=1e-5)


def test_the_scaled_start_is_the_magnitude_mask(net):
    for structure in ("unstructured", "filters", "channels"):
        for name, weight in mk.weights(net, structure).items():
            scores = scaled_scores(weight, structure)
            order = 2 if structure == "unstructured" else 1
            largest = mk.top_k(mk.unit_norms(weight, structure, order), 3)
            assert torch.equal(mk.top_k(scores.abs(), 3), largest), name
            bound = math.sqrt(6 / weight[0].numel())
            assert scores.abs().max().item() == pytest.approx(bound, rel=1e-6)


def test_scores_fold_away_and_leave_the_weights(net, rng):
    plain = copy.deepcopy(net)
    attach_scores(net, "unstructured", 0.9)
    x = torch.rand(4, 1, 8, 8, generator=rng)
    masked = net.eval()(x)
    masks = fold_scores(net, "unstructured")
    assert not any(parametrize.is_parametrized(m) for m in net.modules())
    assert net.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(a, plain.state_dict()[n]) for n, a in net.state_dict().items())
    mk.apply(net, masks)
    assert torch.equal(net(x), masked)
    for name, layer in mk.prunable(net, "unstructured").items():
        size = layer.weight.numel()
        assert int(masks[f"{name}.weight"].sum()) == mk.kept_count(size, 0.9)


class Toy(nn.Module):
    """One linear layer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 4, bias=False)
        with torch.no_grad():
            self.fc.weight.copy_(torch.linspace(-1, 1.1, 20).view(4, 5))


def largest(weights):
    return {n: mk.top_k(w.abs(), 6) for n, w in weights.items()}


def pull(rho=0.3, growth=1.3, cycles=4):
    toy = Toy()
    hook = Admm(toy, "unstructured", largest, rho, growth, cycles)
    loop = Loop(toy, torch.optim.SGD(toy.parameters(), lr=0.1), epochs=4, steps=40)
    return toy, hook, loop


def test_admm_starts_at_the_projection_and_leaves_the_weights_alone():
    toy, hook, _ = pull()
    assert torch.equal(toy.fc.weight, Toy().fc.weight)
    assert not hook.dual["fc"].any()
    assert hook.sparse["fc"].count_nonzero() == 6
    kept = hook.sparse["fc"] != 0
    assert torch.equal(hook.sparse["fc"][kept], toy.fc.weight[kept])


def test_the_penalty_gradient_is_rho_times_distance_at_any_number_of_updates():
    toy, hook, loop = pull()
    for step in range(40):
        loop.step = step
        hook.before_step(loop)
        toy.fc.weight.grad = None
        hook.penalty(loop).backward()
        expected = hook.rho * (toy.fc.weight - hook.sparse["fc"] + hook.dual["fc"])
        assert torch.allclose(toy.fc.weight.grad, expected, atol=1e-6)
        with torch.no_grad():
            toy.fc.weight -= 0.1 * toy.fc.weight.grad


def test_dual_updates_come_between_cycles_and_follow_the_equations():
    toy, hook, loop = pull()
    rhos = []
    for step in range(40):
        loop.step = step
        weight = toy.fc.weight.detach().clone()
        dual, updates = hook.dual["fc"].clone(), hook.updates
        hook.before_step(loop)
        rhos.append(hook.rho)
        if hook.updates > updates:
            assert step in (10, 20, 30)
            shifted = weight + dual
            projected = shifted * mk.top_k(shifted.abs(), 6)
            assert torch.allclose(hook.sparse["fc"], projected)
            assert torch.allclose(hook.dual["fc"], dual + weight - projected)
        with torch.no_grad():
            toy.fc.weight -= 0.02 * (toy.fc.weight - hook.sparse["fc"])
    assert hook.updates == 3
    assert rhos[::10] == pytest.approx([0.3 * 1.3**k for k in range(4)])


def test_the_residual_falls_between_updates_when_only_the_penalty_acts():
    toy, hook, loop = pull()
    residuals = []
    for step in range(10):
        loop.step = step
        hook.before_step(loop)
        residuals.append(hook.residual(toy))
        loop.optimizer.zero_grad()
        hook.penalty(loop).backward()
        loop.optimizer.step()
    assert all(b < a for a, b in itertools.pairwise(residuals))


def test_score_training_moves_scores_and_batchnorm_only(net, tmp_path):
    from test_training import trainer  # the loop's own tests define the small trainer

    for layer in mk.prunable(net, "unstructured").values():
        layer.requires_grad_(False)
    attach_scores(net, "unstructured", 0.8)
    before = copy.deepcopy(net.state_dict())
    objective = make({"name": "pgd"}, Threat(0.1, 0.05, 1))
    trainer(tmp_path).fit(
        net,
        objective,
        Recipe(epochs=2, batch=16, lr=0.5, weight_decay=1e-2),
        "prune",
        parameters=[p for p in net.parameters() if p.requires_grad],
    )
    for name, value in net.state_dict().items():
        frozen = name.endswith((".original", "fc.bias")) or name.startswith("normalize")
        assert torch.equal(value, before[name]) == frozen, name
