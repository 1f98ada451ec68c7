import copy
import math

import pytest
import torch
from torch.nn.utils import parametrize

from advprune.pruning import masks as mk
from advprune.pruning.scores import ScoreMask, attach_scores, fold_scores, scaled_scores
from advprune.pruning.structures import named
from advprune.training.objectives import Threat, make
from advprune.training.recipes import Recipe
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


def test_score_training_moves_scores_and_batchnorm_only(net, tmp_path):
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
