"""Taylor, OBD and SNIP: what their papers say of the scores."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian
from torch.nn import functional as F

from advprune.methods import base, snip
from advprune.methods.obd import curvature
from advprune.methods.taylor import changes, gates
from advprune.models.graph import batchnorm_of
from advprune.pruning import masks as mk
from helpers.methods import task_for
from helpers.small import blobs


def images(n=12, seed=0):
    data = blobs(n, seed)
    return data.images / 255, data.labels


# Taylor


def close(net, conv, j, share):
    """Take a share of the map of filter j away, behind BatchNorm."""
    norm = net.get_submodule(batchnorm_of(net)[conv])
    with torch.no_grad():
        norm.weight[j] *= 1 - share
        norm.bias[j] *= 1 - share


@pytest.mark.parametrize("conv", ["conv1", "layer1.0.conv2", "layer2.0.shortcut.0"])
def test_taylor_is_the_slope_of_closing_a_map_image_by_image(net, conv):
    net.double().eval()
    x, y = images()
    x = x.double()
    with torch.no_grad():
        for norm in batchnorm_of(net).values():
            net.get_submodule(norm).bias.normal_(generator=torch.Generator().manual_seed(3))
    found = changes(net, x, y)[conv]
    loss = F.cross_entropy(net(x), y, reduction="none")
    closed = copy.deepcopy(net)
    close(closed, conv, 1, 1e-6)
    slope = (F.cross_entropy(closed(x), y, reduction="none") - loss) / 1e-6
    positions = {"conv1": 64, "layer1.0.conv2": 64, "layer2.0.shortcut.0": 16}[conv]
    assert torch.allclose(found[:, 1], slope.abs() / positions, rtol=1e-3, atol=1e-8)


def test_taylor_takes_the_absolute_value_of_every_image(net):
    x, y = images()
    alone = [changes(net, x[i : i + 1], y[i : i + 1])["conv1"] for i in range(3)]
    assert torch.allclose(changes(net, x[:3], y[:3])["conv1"], torch.cat(alone), atol=1e-7)


def test_gates_go_and_leave_the_net_as_it_was(net):
    x, y = images()
    net.train()
    before = copy.deepcopy(net.state_dict())
    changes(net, x, y)
    assert net.training and all(p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    with gates(net) as found:
        assert found == {}
        net(x)
    assert found.keys() == mk.prunable(net, "filters").keys()
    found.clear()
    net(x)
    assert found == {}


def test_taylor_normalises_layers_and_ranks_them_together(net, tmp_path, monkeypatch):
    """Scaling the scores of a layer changes nothing; a map that does nothing goes first."""
    task = task_for("taylor", tmp_path, "filters", 0.5, batches=2)
    close(net, "layer2.0.conv1", 3, 1.0)
    masks = base.load("taylor").prune(copy.deepcopy(net), task)
    units = {n: masks[f"{n}.weight"].flatten(1).any(1) for n in mk.prunable(net, "filters")}
    assert not units["layer2.0.conv1"][3]
    kept, total = mk.count(units.values())
    assert kept == mk.kept_count(total, 0.5) and all(u.any() for u in units.values())
    assert len({float(u.float().mean()) for u in units.values()}) > 3

    def louder(*arguments):
        found = changes(*arguments)
        return found | {"conv1": 100 * found["conv1"]}

    monkeypatch.setattr("advprune.methods.taylor.changes", louder)
    again = base.load("taylor").prune(copy.deepcopy(net), task)
    assert all(torch.equal(m, again[n]) for n, m in masks.items())


def test_taylor_removes_the_smallest(net, tmp_path, monkeypatch):
    def rigged(_net, x, _y):
        layers = mk.weights(net, "filters")
        return {n: torch.arange(1.0, len(w) + 1).expand(len(x), -1) for n, w in layers.items()}

    monkeypatch.setattr("advprune.methods.taylor.changes", rigged)
    masks = base.load("taylor").prune(net, task_for("taylor", tmp_path, "filters", 0.5))
    assert masks["conv1.weight"].flatten(1).any(1).tolist()[-1]
    for name in mk.prunable(net, "filters"):
        alive = masks[f"{name}.weight"].flatten(1).any(1).tolist()
        assert alive == sorted(alive)  # what stays comes last


# OBD


class Line(nn.Module):
    """A linear classifier of an image's first pixels: its Hessian is its Gauss-Newton matrix."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3, bias=False)
        with torch.no_grad():
            self.out.weight.copy_(torch.arange(12.0).reshape(3, 4).sin())

    def forward(self, x):
        return self.out(x.flatten(1)[:, :4])


def test_curvature_is_the_diagonal_of_the_hessian_where_the_two_agree(rng):
    net, x, y = Line(), 2 * torch.rand(6, 1, 2, 2, generator=rng), torch.arange(6) % 3
    weight = net.out.weight.detach()

    def loss(w):
        return F.cross_entropy(functional_call(net, {"out.weight": w}, x), y)

    exact = hessian(loss)(weight).reshape(12, 12).diagonal().reshape(3, 4)
    found = curvature(net, [(x[:4], y[:4]), (x[4:], y[4:])] * 1000, rng)["out.weight"]
    assert torch.allclose(found, exact, rtol=0.15)


def test_curvature_does_not_need_labels(rng):
    net, x = Line(), torch.rand(6, 1, 2, 2, generator=rng)
    found = [
        curvature(net, [(x, torch.full((6,), label))], torch.Generator().manual_seed(4))
        for label in (0, 2)
    ]
    assert torch.equal(found[0]["out.weight"], found[1]["out.weight"])


def test_obd_ranks_curvature_times_squared_weights(net, tmp_path, monkeypatch):
    rng = torch.Generator().manual_seed(5)
    noise = {n: torch.rand(p.shape, generator=rng) for n, p in net.named_parameters()}
    monkeypatch.setattr("advprune.methods.obd.curvature", lambda *_: noise)
    masks = base.load("obd").prune(net, task_for("obd", tmp_path))
    scores = {f"{n}.weight": noise[f"{n}.weight"] * w**2 for n, w in mk.weights(net).items()}
    kept = min(float(scores[n][m].min()) for n, m in masks.items())
    gone = max(float(scores[n][~m].max()) for n, m in masks.items())
    assert kept >= gone
    assert mk.count(masks.values())[0] == mk.kept_count(mk.count(masks.values())[1], 0.8)


def test_obd_looks_at_attacked_images(net, tmp_path, monkeypatch):
    seen = []

    def watched(_net, samples, _rng):
        seen.extend(x for x, _ in samples)
        return {n: torch.ones_like(p) for n, p in net.named_parameters()}

    monkeypatch.setattr("advprune.methods.obd.curvature", watched)
    base.load("obd").prune(net, task_for("obd", tmp_path, batches=3, batch=8))
    assert [len(x) for x in seen] == [8] * 3
    assert all(((255 * x) % 1).abs().max() > 0.01 for x in seen)  # no longer 8-bit


# SNIP


def test_snip_measures_the_first_step_of_training(net, tmp_path, monkeypatch):
    """|gradient · weight| in training mode, on one attacked batch."""
    task = task_for("snip", tmp_path, batch=16)
    seen, inner = [], snip.in_training

    def watched(net, x, y):
        seen.append((x, y))
        return inner(net, x, y)

    monkeypatch.setattr(snip, "in_training", watched)
    fresh = copy.deepcopy(net)
    found = snip.sensitivities(net, task)
    ((x, y),) = seen
    assert len(x) == 16
    F.cross_entropy(fresh.train()(x), y).backward()
    for name, layer in mk.prunable(fresh, "unstructured").items():
        expected = (layer.weight * layer.weight.grad).abs()
        assert torch.allclose(found[name], expected, rtol=1e-3, atol=1e-8)


def test_snip_ranks_globally_and_leaves_the_fresh_net(net, tmp_path):
    before = copy.deepcopy(net.state_dict())
    task = task_for("snip", tmp_path, sparsity=0.9)
    masks = base.load("snip").prune(net, task)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    scores = snip.sensitivities(net, task)
    kept = min(float(scores[n][masks[f"{n}.weight"]].min()) for n in scores)
    gone = max(float(scores[n][~masks[f"{n}.weight"]].max()) for n in scores)
    assert kept >= gone
    assert mk.count(masks.values())[0] == mk.kept_count(mk.count(masks.values())[1], 0.9)
