"""docs/methods/rst.md, "What must hold"."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

from advprune.methods import base
from advprune.methods.rst import shares_to_restore
from advprune.models.registry import build
from advprune.pruning import masks as mk
from advprune.training.loop import Hook
from helpers.methods import task_for
from helpers.small import SMALL
from helpers.watching import watch


def pruned(net, folder, sparsity=0.8, epochs=2, **recipe):
    task = task_for("rst", folder, sparsity=sparsity)
    recipe = dataclasses.replace(task.recipes["prune"], epochs=epochs, **recipe)
    task = dataclasses.replace(task, recipes={"prune": recipe})
    return base.load("rst").prune(net, task)


def test_weights_are_signed_constants_that_training_never_touches(net, tmp_path):
    signs = {n: w.sign() for n, w in mk.weights(net).items()}
    pruned(net, tmp_path, weight_decay=0.1)
    for name, weight in mk.weights(net).items():
        constant = (2 / weight[0].numel()) ** 0.5
        assert torch.allclose(weight, signs[name] * constant), name
        assert weight.abs().unique().numel() == 1


def test_nothing_but_the_mask_and_the_statistics_is_learned(net, tmp_path):
    before = copy.deepcopy(net.state_dict())
    still = pruned(copy.deepcopy(net), tmp_path / "still", epochs=0)
    masks = pruned(net, tmp_path, lr=0.5)
    after = net.state_dict()
    for name in ("bn1.weight", "bn1.bias", "layer2.0.bn1.weight", "fc.bias"):
        assert torch.equal(after[name], before[name])
    assert not net.fc.bias.any() and bool((net.bn1.weight == 1).all())
    assert not torch.equal(after["bn1.running_mean"], before["bn1.running_mean"])
    moved = sum(int((masks[n] != still[n]).sum()) for n in masks)
    assert moved > 0.02 * sum(m.numel() for m in masks.values())


def test_every_layer_keeps_its_exact_share_at_every_step(net, tmp_path, monkeypatch):
    """And the optimiser owns the scores, no other tensor."""
    seen = []

    class Watch(Hook):
        def after_step(self, loop):
            owned = {id(p) for g in loop.optimizer.param_groups for p in g["params"]}
            scores = {id(p) for n, p in loop.net.named_parameters() if n.endswith(".scores")}
            assert owned == scores and len(scores) == len(mk.prunable(loop.net, "unstructured"))
            counts = [(int((w != 0).sum()), w.numel()) for w in mk.weights(loop.net).values()]
            assert all(kept == mk.kept_count(size, 0.9) for kept, size in counts)
            seen.append(loop.step)

    watch(monkeypatch, Watch())
    pruned(net, tmp_path, sparsity=0.9)
    assert len(seen) == 6


def test_scores_start_uniform_and_know_nothing_of_the_weights(net, tmp_path, monkeypatch):
    class Start(Hook):
        def before_step(self, loop):
            if loop.step:
                return
            for name, layer in mk.prunable(loop.net, "unstructured").items():
                scores = layer.parametrizations.weight[0].scores.detach()
                bound = scores[0].numel() ** -0.5
                assert 0.8 * bound < scores.abs().max() <= bound, name
            scores = loop.net.layer4[0].conv2.parametrizations.weight[0].scores.detach()
            assert scores.mean().item() == pytest.approx(0, abs=0.05 * bound)
            assert scores.std().item() == pytest.approx(
                scores[0].numel() ** -0.5 / 3**0.5, rel=0.05
            )

    watch(monkeypatch, Start())
    first = pruned(net, tmp_path, epochs=1, lr=1e-9)
    kept = torch.cat([w[first[f"{n}.weight"]] for n, w in mk.weights(net).items()])
    assert (kept > 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_learned_ticket_is_better_than_the_random_one(net, tmp_path):
    def loss(epochs):
        candidate = copy.deepcopy(net)
        task = task_for("rst", tmp_path)
        mk.apply(candidate, pruned(candidate, tmp_path / str(epochs), 0.5, epochs))
        data = task.trainer.train
        with torch.no_grad():
            logits = candidate.train()(data.images / 255)
        return F.cross_entropy(logits, data.labels).item()

    assert loss(15) < 0.5 * loss(0)


def test_there_is_no_training_afterwards(net, tmp_path):
    assert task_for("rst", tmp_path).final is None


# Layers without BatchNorm: the linear ones of VGG16


def fresh_tickets(folder, sparsity, count=30):
    """VGG16s with other signs and scores each, untrained."""
    for seed in range(count):
        spec = dataclasses.replace(SMALL, arch="vgg16", width=8)
        net = build(spec, torch.Generator().manual_seed(seed))
        task = task_for("rst", folder / str(seed), sparsity=sparsity)
        recipe = dataclasses.replace(task.recipes["prune"], epochs=0)
        trainer = dataclasses.replace(task.trainer, seed=seed)
        task = dataclasses.replace(task, recipes={"prune": recipe}, trainer=trainer)
        mk.apply(net, base.load("rst").prune(net, task))
        yield net.train()


@pytest.mark.parametrize("sparsity", [0.0, 0.9, 0.95])
def test_hidden_layers_without_batchnorm_do_not_shrink_with_the_sparsity(tmp_path, sparsity):
    """In the mean over signs, ReLU halves a second moment and √(2 / (k · fan-in)) doubles it.

    So the logits' is 2k times that of the features, from the last layer alone. Without the
    rescaling it is 2k³ times, a hundredth of it at 90 %.
    """
    moments = []
    for seed, net in enumerate(fresh_tickets(tmp_path, sparsity)):
        x = torch.rand(8, 256, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            moments.append(float(net.classifier(x).square().mean() / x.square().mean()))
    mean = torch.tensor(moments).mean().item()
    assert mean == pytest.approx(2 * (1 - sparsity), rel=0.5)


def test_the_logits_of_a_sparse_vgg_are_as_large_as_the_last_layer_makes_them(tmp_path):
    def size(sparsity):
        nets = fresh_tickets(tmp_path / str(sparsity), sparsity)
        x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            return sum(float(net(x).std()) for net in nets) / 30

    assert 0.15 < size(0.9) / size(0.0) < 0.6  # √0.1 = 0.32; without rescaling √0.001 = 0.03


def test_what_batchnorm_follows_and_the_classifier_are_as_published(net):
    assert shares_to_restore(net, 0.9) == {}
    vgg = build(dataclasses.replace(SMALL, arch="vgg16"))
    shares = shares_to_restore(vgg, 0.9)
    assert list(shares) == ["classifier.0", "classifier.2"]
    assert shares["classifier.0"] == pytest.approx(0.1, rel=0.01)
