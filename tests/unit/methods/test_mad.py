"""docs/methods/mad.md, "What must hold"."""

import copy

import pytest
import torch
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.methods import base, mad
from advprune.pruning import kfac
from advprune.pruning import masks as mk
from advprune.pruning.parametrization import remove
from advprune.training.inner import pgd
from helpers.methods import task_for
from helpers.small import blobs
from helpers.training import THREAT


def batch(n=12):
    split = blobs(n, 5)
    return split.images / 255, split.labels


def test_masks_start_open_and_change_nothing(net):
    x, y = batch()
    before = net.eval()(x).detach()
    masked = mad.Masked(net)
    assert len(masked.masks) == len(mk.prunable(net, "unstructured")) + 1  # fc has a bias
    assert torch.allclose(net(x), before, atol=1e-5)
    for name in masked.layers:
        assert not masked.damage(name).any()  # exactly
    assert F.softplus(torch.tensor([mad.OPEN, mad.SHUT])).tolist() == pytest.approx([1, 1e-4])
    assert masked.damage("fc").shape == (3, 33)
    saliency = masked.saliency(x, y)
    assert not any(s.any() for s in saliency.values())


def test_masks_lower_the_loss_within_their_bounds(net):
    x, y = batch()
    state = copy.deepcopy(net.state_dict())
    masked = mad.Masked(net)
    x = pgd(net, x, y, THREAT, None)
    start = F.cross_entropy(net(x), y)
    masked.minimise(x, y, steps=20, lr=0.1)
    assert F.cross_entropy(net(x), y) < 0.9 * start
    values = torch.cat([F.softplus(m.m.detach()).flatten() for m in masked.masks])
    assert values.min() >= 0.999e-4 and values.max() <= 1 + 1e-6
    assert 0.05 < (values < 0.999).float().mean() < 0.95  # some fall, some rest at the top
    masked.minimise(x, y, steps=3, lr=100.0)
    lowest = min(F.softplus(m.m.detach()).min() for m in masked.masks)
    assert float(lowest) == pytest.approx(1e-4, rel=1e-3)
    remove(net)
    assert all(torch.equal(v, state[n]) for n, v in net.state_dict().items())
    assert set(net.state_dict()) == set(state) and all(p.requires_grad for p in net.parameters())


def test_damage_is_what_the_masks_take(net):
    x, y = batch()
    masked = mad.Masked(net)
    masked.minimise(x, y, steps=3, lr=0.1)
    for name, layer in masked.layers.items():
        original = layer.parametrizations.weight.original
        taken = masked.damage(name)[:, : original[0].numel()].view_as(original)
        assert torch.allclose(taken, (original - layer.weight).detach(), atol=1e-6)
    bias = net.fc.parametrizations.bias.original - net.fc.bias
    assert torch.allclose(masked.damage("fc")[:, -1], bias.detach(), atol=1e-6)


def test_saliency_is_the_quadratic_of_the_masked_net(net):
    x, y = batch()
    masked = mad.Masked(net)
    masked.minimise(x, y, steps=5, lr=0.1)
    saliency = masked.saliency(x, y)
    plain = copy.deepcopy(net)
    remove(plain, effective=True)
    layers = mk.prunable(plain, "unstructured")
    for name, (inputs, outputs) in kfac.factors(plain.eval(), layers, x, y):
        damage = masked.damage(name)
        expected = torch.stack(
            [0.5 * g * row * (inputs @ row) for g, row in zip(outputs, damage, strict=True)]
        )
        assert torch.allclose(
            saliency[name].flatten(1),
            expected[:, : saliency[name][0].numel()],
            atol=1e-9,
            rtol=1e-3,
        )
        assert (expected.sum(1) >= -1e-9).all()


def test_order_is_by_saliency_and_then_by_magnitude():
    saliency = {"a": torch.tensor([0.0, -1.0, 0.0]), "b": torch.tensor([[2.0, 0.0]])}
    sizes = {"a": torch.tensor([5.0, 9.0, 1.0]), "b": torch.tensor([[0.1, 3.0]])}
    ranks = mad.order(saliency, sizes)
    assert ranks["a"].tolist() == [3, 0, 1] and ranks["b"].tolist() == [[4, 2]]


def test_the_mean_runs_over_fresh_masks_on_attacked_batches(net, tmp_path, monkeypatch):
    calls = []
    minimise = mad.Masked.minimise

    def watched(self, x, y, steps, lr):
        fresh = all((m.m == m.m.flatten()[0]).all() for m in self.masks)
        minimise(self, x, y, steps, lr)
        calls.append((fresh, x, y, self.saliency(x, y)))

    attacks = []

    def recorded(net, x, *how):
        attacks.append((net(x).detach(), x, pgd(net, x, *how)))
        return attacks[-1][2]

    monkeypatch.setattr(mad.Masked, "minimise", watched)
    monkeypatch.setattr(mad, "pgd", recorded)
    dense = copy.deepcopy(net).eval()
    norm = {n: v.clone() for n, v in net.named_buffers()}
    task = task_for("mad", tmp_path, batch=16, mask_steps=4)
    mean = mad.METHOD.mean_saliency(net, task)
    assert len(calls) == 2 and all(fresh for fresh, *_ in calls)  # 40 images
    for name in mean:
        assert torch.allclose(mean[name], (calls[0][3][name] + calls[1][3][name]) / 2, atol=1e-9)
    for (_, x, y, _), (logits, clean, attacked) in zip(calls, attacks, strict=True):
        assert len(y) == 16 and x is attacked
        assert torch.allclose(logits, dense(clean), atol=1e-4)  # the net without masks
    assert all(torch.equal(v, norm[n]) for n, v in net.named_buffers())
    calls.clear()
    mad.METHOD.mean_saliency(net, task_for("mad", tmp_path, batch=16, mask_steps=1, share=0.4))
    assert len(calls) == 1


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.97])
def test_the_classifier_goes_by_rows_and_the_rest_together(net, tmp_path, monkeypatch, sparsity):
    rng = torch.Generator().manual_seed(2)
    values = {n: torch.randn(w.shape, generator=rng) for n, w in mk.weights(net).items()}
    values["layer1.0.conv1"] -= 5  # a layer that would be emptied
    monkeypatch.setattr(mad.METHOD, "mean_saliency", lambda net, task: dict(values), raising=False)
    state = copy.deepcopy(net.state_dict())
    masks = base.load("mad").prune(net, task_for("mad", tmp_path, sparsity=sparsity))
    total = sum(v.numel() for v in values.values())
    assert mk.count(masks.values())[0] == mk.kept_count(total, sparsity)
    assert (masks["fc.weight"].sum(1) == mk.kept_count(32, sparsity)).all()
    for row, mask in zip(values["fc"], masks["fc.weight"], strict=True):
        assert row[mask].min() >= row[~mask].max()
    rest = [n for n in values if n != "fc" and masks[f"{n}.weight"].sum() > 1]  # others: the floor
    kept = torch.cat([values[n][masks[f"{n}.weight"]] for n in rest])
    gone = torch.cat([values[n][~masks[f"{n}.weight"]] for n in rest])
    assert kept.min() >= gone.max()  # signed, over all layers
    assert masks["layer1.0.conv1.weight"].any()
    assert all(torch.equal(v, state[n]) for n, v in net.state_dict().items())


def test_masks_are_nested(net, tmp_path):
    twin = copy.deepcopy(net)
    first = base.load("mad").prune(net, task_for("mad", tmp_path, sparsity=0.9, mask_steps=3))
    second = base.load("mad").prune(twin, task_for("mad", tmp_path, sparsity=0.7, mask_steps=3))
    assert all(not (first[n] & ~second[n]).any() for n in first)


def test_the_rows_of_the_classifier_and_a_weight_per_layer_must_fit(net, tmp_path, monkeypatch):
    """Said before any batch is attacked; a count below zero would keep nearly everything."""
    monkeypatch.setattr(mad, "pgd", None)
    sizes = mk.magnitudes(net, "unstructured")
    total = sum(size.numel() for size in sizes.values())
    just = 20 + 3  # a weight for each of twenty layers and of three rows
    kept, share = mad.shares(sizes, "fc", 1 - just / total)
    assert kept == 1 and share == pytest.approx(1 - 20 / (total - 96))
    for few in (just - 1, 2):
        task = task_for("mad", tmp_path, sparsity=1 - few / total)
        with pytest.raises(UserError, match=f"leaves {few - 3} weights for the 20 layers"):
            base.load("mad").prune(net, task)
