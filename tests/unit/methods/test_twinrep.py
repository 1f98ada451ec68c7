"""docs/methods/twinrep.md, "What must hold"."""

import dataclasses

import pytest
import torch

from advprune.methods import base
from advprune.models.registry import build
from advprune.pruning import masks as mk
from advprune.pruning.reparam import FilterProduct, Product
from advprune.training.loop import Hook
from helpers.methods import task_for
from helpers.small import SMALL
from helpers.watching import check_resumes, watch


def task_with(folder, structure="unstructured", sparsity=0.8, params=None, **recipe):
    task = task_for("twinrep", folder, structure, sparsity, **(params or {}))
    recipe = dataclasses.replace(task.recipes["train"], **recipe)
    return dataclasses.replace(task, recipes={"train": recipe})


def factors(layer):
    return layer.parametrizations.weight.original, layer.parametrizations.weight[0].factor


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_both_factors_start_small_and_uniform_in_every_layer(net, tmp_path, monkeypatch, structure):
    """ResNet18's linear layer included."""
    seen = []

    class Start(Hook):
        def before_step(self, loop):
            if loop.step:
                return
            for name, layer in mk.prunable(loop.net, "unstructured").items():
                seen.append(name)
                kind = Product if structure == "unstructured" else FilterProduct
                assert isinstance(layer.parametrizations.weight[0], kind)
                own, other = (f.detach().abs().max() for f in factors(layer))
                bounds = [layer.weight[0].numel() ** -0.5] * 2
                if structure == "filters":
                    bounds[1] = len(layer.weight) ** -0.5
                shares = [float(own / bounds[0]), float(other / bounds[1])]
                assert min(shares) > 0.6 and max(shares) <= 1, name

    watch(monkeypatch, Start())
    base.load("twinrep").prune(net, task_with(tmp_path, structure, 0.5))
    assert seen == list(mk.prunable(net, "unstructured"))


def test_several_linear_layers_are_spread_like_plain_ones(tmp_path, monkeypatch):
    vgg = build(dataclasses.replace(SMALL, arch="vgg16"), torch.Generator().manual_seed(1))
    plain = {n: w.std().item() for n, w in mk.weights(vgg).items() if n.startswith("classifier")}
    seen = {}

    class Start(Hook):
        def before_step(self, loop):
            for name in () if loop.step else plain:
                seen[name] = loop.net.get_submodule(name).weight.std().item()

    watch(monkeypatch, Start())
    base.load("twinrep").prune(vgg, task_with(tmp_path))
    assert len(seen) == 3 and seen == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_one_exact_cut_by_global_magnitude_of_the_product(net, tmp_path, monkeypatch, structure):
    scores, zeros = {}, []

    class Watch(Hook):
        def after_step(self, loop):
            if loop.step == 2:  # the cut comes before the next step
                scores.update(mk.magnitudes(loop.net, structure))
            norms = mk.magnitudes(loop.net, structure).values()
            zeros.append(sum(int((n == 0).sum()) for n in norms))

    watch(monkeypatch, Watch())
    task = task_with(tmp_path, structure, 0.5, {"cut_at": 0.3}, weight_decay=0.01)
    masks = base.load("twinrep").prune(net, task)
    units = mk.rank(scores, 0.5, scope="global", floor=1)
    total = sum(s.numel() for s in scores.values())
    assert zeros == [0, 0] + [mk.removed_count(total, 0.5)] * 4
    expected = mk.weight_masks(net, units, structure)
    assert masks.keys() == expected.keys()
    assert all(torch.equal(m, expected[n]) for n, m in masks.items())
    assert mk.violations(net, masks) == []
    weights = mk.magnitudes(net, structure)
    assert all(bool((weights[n][u] > 0).all()) for n, u in units.items())


def test_the_product_is_ranked_and_not_a_factor(net, tmp_path, monkeypatch):
    """A weight that is large in W and tiny in A goes; the other way round it stays."""

    class Rig(Hook):
        def before_step(self, loop):
            if loop.step == 0:
                with torch.no_grad():
                    own, other = factors(loop.net.conv1)
                    own.fill_(100)
                    other.fill_(1e-8)
                    own, other = factors(loop.net.layer1[0].conv1)
                    own.fill_(1e-3)
                    other.fill_(1e4)

    watch(monkeypatch, Rig())
    task = task_with(tmp_path, params={"cut_at": 0.3}, lr=1e-12)
    masks = base.load("twinrep").prune(net, task)
    assert masks["conv1.weight"].sum() == 1  # all that the floor leaves
    assert masks["layer1.0.conv1.weight"].all()


def test_decay_shrinks_both_factors_of_a_removed_weight_alike(net, tmp_path, monkeypatch):
    """So that W² − A² dies out; the balance is what makes the penalty an L1 norm."""
    lr, decay, differences = 0.05, 0.1, []

    class Watch(Hook):
        def after_step(self, loop):
            own, other = (f.detach()[0, 0] for f in factors(loop.net.layer1[0].conv1))
            gone = loop.net.layer1[0].conv1.weight.detach()[0, 0] == 0
            differences.append((own**2 - other**2).where(gone, torch.nan))

    watch(monkeypatch, Watch())
    recipe = {"lr": lr, "weight_decay": decay, "momentum": 0.0, "schedule": "constant"}
    base.load("twinrep").prune(
        net, task_with(tmp_path, "unstructured", 0.9, {"cut_at": 0}, **recipe)
    )
    first, last = differences[0], differences[-1]
    gone = ~first.isnan()
    assert gone.sum() > 3
    shrunk = (1 - lr * decay) ** (2 * (len(differences) - 1))
    assert torch.allclose(last[gone], first[gone] * shrunk, rtol=1e-4)


def test_removed_filters_have_no_batchnorm_from_the_cut_on(net, tmp_path, monkeypatch):
    checked = []

    class Watch(Hook):
        def after_step(self, loop):
            for name, norm in (("conv1", "bn1"), ("layer1.0.conv1", "layer1.0.bn1")):
                conv, bn = loop.net.get_submodule(name), loop.net.get_submodule(norm)
                gone = conv.weight.detach().flatten(1).norm(dim=1) == 0
                assert not bn.weight[gone].any() and not bn.bias[gone].any()
                checked.append(int(gone.sum()))

    watch(monkeypatch, Watch())
    base.load("twinrep").prune(net, task_with(tmp_path, "filters", 0.8, {"cut_at": 0}))
    assert sum(checked) > 0


@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch, structure, step):
    def prune(net, name):
        task = task_with(tmp_path / name, structure, 0.5, {"cut_at": 0.2}, epochs=3)
        return base.load("twinrep").prune(net, task)

    check_resumes(monkeypatch, net, prune, at=step)
