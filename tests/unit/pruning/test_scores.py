import copy
import math

import pytest
import torch

from advprune.plan.specs import Recipe, Threat
from advprune.pruning import masks as mk
from advprune.pruning.scores import ScoreMask, freeze_layers, learn_masks, scaled_scores
from advprune.pruning.structures import named
from advprune.training.objective import make
from helpers.training import trainer


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
            largest = mk.top_k(named(structure).norms(weight, order), 3)
            assert torch.equal(mk.top_k(scores.abs(), 3), largest), name
            bound = math.sqrt(6 / weight[0].numel())
            assert scores.abs().max().item() == pytest.approx(bound, rel=1e-6)


def test_the_net_is_masked_while_scores_are_learned_and_then_as_before(net, rng):
    plain = copy.deepcopy(net)
    x, masked = torch.rand(4, 1, 8, 8, generator=rng), []
    masks = learn_masks(net, "unstructured", 0.9, lambda: masked.append(net.eval()(x)))
    assert net.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(a, plain.state_dict()[n]) for n, a in net.state_dict().items())
    assert not torch.equal(net(x), masked[0])
    mk.apply(net, masks)
    assert torch.equal(net(x), masked[0])
    for name, layer in mk.prunable(net, "unstructured").items():
        size = layer.weight.numel()
        assert int(masks[f"{name}.weight"].sum()) == mk.kept_count(size, 0.9)


def test_scores_may_start_elsewhere_and_layers_have_rates_of_their_own(net, rng):
    sizes = {n: w.numel() for n, w in mk.weights(net).items()}
    start = {n: torch.randn(w.shape, generator=rng) for n, w in mk.weights(net).items()}
    rates = {n: 0.5 + 0.4 * torch.rand((), generator=rng).item() for n in sizes}
    masks = learn_masks(net, "unstructured", rates, lambda: None, start)
    for name, scores in start.items():
        kept = mk.top_k(scores.abs(), mk.kept_count(sizes[name], rates[name]))
        assert torch.equal(masks[f"{name}.weight"], kept)


def test_score_training_moves_scores_and_batchnorm_only(net, tmp_path):
    seen = []
    recipe = Recipe(epochs=2, batch=16, lr=0.5, weight_decay=1e-2)
    objective = make({"name": "pgd"}, Threat(0.1, 0.05, 1))

    def train():
        before = copy.deepcopy(net.state_dict())
        trainer(tmp_path).fit(net, objective, recipe, "prune")
        seen.extend((n, torch.equal(v, before[n])) for n, v in net.state_dict().items())

    freeze_layers(net)
    learn_masks(net, "unstructured", 0.8, train)
    for name, still in seen:
        frozen = name.endswith((".original", "fc.bias")) or name.startswith("normalize")
        assert still == frozen, name
    assert all(p.requires_grad for p in net.parameters())
