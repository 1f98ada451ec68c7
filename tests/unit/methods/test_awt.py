"""docs/methods/awt.md, "What must hold"."""

import copy
import dataclasses
import itertools
import statistics

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from advprune.methods import awt, base
from advprune.models.registry import build
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.training.inner import pgd
from advprune.training.loop import Loop
from helpers.methods import task_for
from helpers.small import SMALL, blobs
from helpers.training import THREAT, KillAt, KilledError


@pytest.fixture
def smooth(rng):
    """A two-layer net with a second derivative everywhere, in double precision."""
    net = nn.Sequential(nn.Linear(5, 6), nn.Softplus(), nn.Linear(6, 3)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng, dtype=torch.float64))
    return net


def normal(rng, *shape):
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def kernel(net, x, attacked):
    """K [n·C, m·C] from the two Jacobians, row by row."""

    def jacobian(images):
        rows = []
        for value in net(images).flatten():
            gradients = torch.autograd.grad(value, list(net.parameters()), retain_graph=True)
            rows.append(torch.cat([g.flatten() for g in gradients]))
        return torch.stack(rows)

    return jacobian(x) @ jacobian(attacked).T


def test_a_probe_is_a_projection_of_the_mixed_kernel(smooth, rng):
    x, attacked = normal(rng, 4, 5), normal(rng, 6, 5)
    u, v = normal(rng, 2, 3), normal(rng, 4, 3)
    logits, found = awt.probe(smooth, x, attacked, u, v)
    expected = u.flatten() @ kernel(smooth, x[:2], attacked[2:]) @ v.flatten()
    assert torch.equal(logits, smooth(attacked))
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_mean_square_of_probes_is_the_squared_norm(smooth, rng):
    x, attacked = normal(rng, 2, 5), normal(rng, 3, 5)
    probes = []
    for _ in range(3000):
        u, v = normal(rng, 2, 3), normal(rng, 3, 3)
        probes.append(awt.probe(smooth, x, attacked, u, v)[1].item() ** 2)
    expected = kernel(smooth, x, attacked).square().sum().item()
    assert sum(probes) / len(probes) == pytest.approx(expected, rel=0.2)


def test_the_gradient_of_a_probe_is_that_of_finite_differences(smooth, rng):
    x, attacked = normal(rng, 2, 5), normal(rng, 2, 5)
    u, v = normal(rng, 2, 3), normal(rng, 2, 3)
    weight = smooth[0].weight
    (found,) = torch.autograd.grad(awt.probe(smooth, x, attacked, u, v, graph=True)[1], weight)
    step = 1e-6
    for i, j in ((0, 0), (3, 2), (5, 4)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[i, j] += sign * step
            values.append(awt.probe(smooth, x, attacked, u, v)[1].item())
            with torch.no_grad():
                weight[i, j] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert found[i, j].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_removed_weights_have_no_part_in_the_kernel(smooth, rng):
    x, attacked = normal(rng, 2, 5), normal(rng, 2, 5)
    dense = kernel(smooth, x, attacked)
    mask = torch.rand(6, 5, generator=rng) < 0.5
    parametrize.register_parametrization(smooth[0], "weight", awt.Keep(mask))
    sparse = kernel(smooth, x, attacked)
    assert not torch.allclose(sparse, dense)
    with torch.no_grad():
        smooth[0].parametrizations.weight.original[~mask] += 3.0
    assert torch.equal(kernel(smooth, x, attacked), sparse)
    # not even their gradients at the masked point
    plain = copy.deepcopy(smooth)
    parametrize.remove_parametrizations(plain[0], "weight")
    assert not torch.allclose(kernel(plain, x, attacked), sparse)


def transfer_for(net, folder, **params):
    return awt.Transfer(copy.deepcopy(net), task_for("awt", folder, **params))


def batch(n=16):
    images = blobs(n, 4)
    return images.images / 255, images.labels


def test_a_dense_student_is_at_no_distance(net, tmp_path):
    transfer = transfer_for(net, tmp_path)
    found = transfer.distances(net.eval(), *batch(), torch.Generator().manual_seed(0))
    own = transfer.distances(None, *batch(), torch.Generator().manual_seed(0))
    assert torch.allclose(found / own, torch.zeros(2), atol=1e-9)
    with torch.no_grad():
        net.fc.weight.zero_()  # logits are the bias, which is zero: as far as no student at all
    found = transfer.distances(net, *batch(), torch.Generator().manual_seed(0))
    assert found[0].item() == pytest.approx(own[0].item(), rel=1e-5)


def test_kernel_distances_are_means_over_the_entries(net, tmp_path):
    """Batches of any size are then on the scale that was measured on whole ones."""
    transfer, (x, y) = transfer_for(net, tmp_path), batch(10)
    rng = torch.Generator().manual_seed(0)
    found = transfer.distances(None, x, y, rng)
    rng.manual_seed(0)
    attacked = pgd(transfer.teacher, x, y, THREAT, rng)
    u, v = torch.randn(5, 3, generator=rng), torch.randn(5, 3, generator=rng)
    logits, kernel = awt.probe(transfer.teacher, x, attacked, u, v)
    expected = torch.stack([logits.square().mean(), kernel.square() / (15 * 15)])
    assert torch.allclose(found, expected, rtol=1e-5)


def test_the_loss_weighs_relative_distances(net, tmp_path):
    transfer = transfer_for(net, tmp_path, kernel_weight=3.0)
    transfer.measure_scale(torch.Generator().manual_seed(1))
    with torch.no_grad():
        net.conv1.weight.mul_(0.5)
    loss = transfer.loss(net, *batch(), torch.Generator().manual_seed(0))
    found = transfer.distances(net, *batch(), torch.Generator().manual_seed(0))
    relative = found / transfer.scale
    assert loss.item() == pytest.approx((relative[0] + 3 * relative[1]).item(), rel=1e-6)
    assert (transfer.scale > 0).all() and not net.training


def test_the_ridge_is_over_the_density_and_over_surviving_weights(net, tmp_path):
    task = dataclasses.replace(task_for("awt", tmp_path, ridge=0.5), sparsity=0.75)
    transfer = awt.Transfer(copy.deepcopy(net), task)
    masks = mk.rank(mk.magnitudes(net, "unstructured"), 0.75)
    kept = sum(float(w[masks[n]].square().sum()) for n, w in mk.weights(net).items())
    for name, layer in mk.prunable(net, "unstructured").items():
        parametrize.register_parametrization(layer, "weight", awt.Keep(masks[name]))
    loop = type("Loop", (), {"net": net})
    assert transfer.penalty(loop).item() == pytest.approx(2.0 * kept, rel=1e-5)


def search(net, folder, monkeypatch, kill=-1, epochs=4, refreshes=3, **params):
    """Prune with a watch on every step; returns masks, epoch records and the masks seen."""
    task = task_for("awt", folder, refreshes=refreshes, **params)
    recipe = Recipe(epochs, batch=20, lr=2e-3, weight_decay=0, optimizer="adam")
    task = dataclasses.replace(task, recipes={"prune": recipe})
    history, seen, teachers, killer = [], [], [], KillAt(kill)

    def watch(self, loop):
        after_step(self, loop)
        layers = mk.prunable(loop.net, "unstructured").values()
        seen.append([layer.parametrizations.weight[0].mask.clone() for layer in layers])
        teachers.append(copy.deepcopy(self.teacher.state_dict()))
        killer.after_step(loop)

    def note(self, loop, record):
        after_epoch(self, loop, record)
        history.append(record)

    after_step, after_epoch = awt.Transfer.after_step, awt.Transfer.after_epoch
    with monkeypatch.context() as patch:
        patch.setattr(awt.Transfer, "after_step", watch)
        patch.setattr(awt.Transfer, "after_epoch", note)
        masks = base.load("awt").prune(net, task)
    return masks, history, seen, teachers


def test_the_search_draws_the_ticket_to_the_dense_net(tmp_path, monkeypatch):
    """The distance goes up and down by its probes and new masks: means, and most of the nets."""
    ratios = []
    for seed in (1, 2, 3):
        net = build(SMALL, torch.Generator().manual_seed(seed))
        _, history, *_ = search(net, tmp_path / f"{seed}", monkeypatch, epochs=12)
        distances = [record["logit_distance"] for record in history]
        ratios.append(statistics.mean(distances[6:]) / distances[0])
    assert statistics.median(ratios) < 0.9


def test_the_search_moves_masks_on_time_and_leaves_the_teacher(net, tmp_path, monkeypatch):
    sizes = [w.numel() for w in mk.weights(net).values()]
    start = {n: v.clone() for n, v in net.state_dict().items()}
    masks, history, seen, teachers = search(net, tmp_path, monkeypatch, epochs=12)
    assert all(record["kernel_distance"] > 0 for record in history)
    assert all(torch.equal(v, teachers[-1][n]) for n, v in teachers[0].items())
    assert all(torch.equal(start[n], teachers[0][n]) for n, _ in net.named_parameters())
    wanted = [mk.kept_count(n, 0.8) for n in sizes]
    assert all([int(m.sum()) for m in step] == wanted for step in seen)
    changes = [
        any(not torch.equal(a, b) for a, b in zip(x, y, strict=True))
        for x, y in itertools.pairwise(seen)
    ]
    assert sum(changes) == 3  # of 24 steps, after 6, 12 and 18
    assert [i for i, c in enumerate(changes, 1) if c] == [5, 11, 17]
    # the statistics are the teacher's, and the masks the last ones
    assert torch.equal(net.bn1.running_mean, teachers[0]["bn1.running_mean"])
    assert not torch.equal(net.bn1.running_mean, start["bn1.running_mean"])
    assert all(torch.equal(a, b) for a, b in zip(seen[-1], masks.values(), strict=True))


def test_descent_on_probes_brings_the_kernels_together(smooth, rng):
    """On a net whose kernel can be held: the whole distance falls with that of random probes."""
    x, attacked = normal(rng, 3, 5), normal(rng, 3, 5)
    teacher = copy.deepcopy(smooth)
    parametrize.register_parametrization(
        smooth[0], "weight", awt.Keep(torch.rand(6, 5, generator=rng) < 0.5)
    )
    wanted = kernel(teacher, x, attacked).detach()
    before = (kernel(smooth, x, attacked) - wanted).square().sum().item()
    adam = torch.optim.Adam(smooth.parameters(), lr=5e-3)
    for _ in range(300):
        u, v = normal(rng, 3, 3), normal(rng, 3, 3)
        target = awt.probe(teacher, x, attacked, u, v)[1].detach()
        adam.zero_grad()
        (awt.probe(smooth, x, attacked, u, v, graph=True)[1] - target).square().backward()
        adam.step()
    after = (kernel(smooth, x, attacked) - wanted).square().sum().item()
    assert after < 0.5 * before


def test_masks_are_the_largest_of_the_moved_weights(net, tmp_path):
    transfer = transfer_for(net, tmp_path, refreshes=1)
    masks = mk.rank(mk.magnitudes(net, "unstructured"), 0.8)
    for name, layer in mk.prunable(net, "unstructured").items():
        parametrize.register_parametrization(layer, "weight", awt.Keep(masks[name]))
    with torch.no_grad():
        original = net.conv1.parametrizations.weight.original
        original.copy_(original.flatten().flip(0).view_as(original))
    transfer.after_step(Loop(net, None, epochs=1, steps=10, step=5))
    keep = net.conv1.parametrizations.weight[0].mask
    assert torch.equal(keep, masks["conv1"].flatten().flip(0).view_as(keep))


@pytest.mark.parametrize(("distance", "marks"), [(0.95, 1), (0.85, 0)])
def test_a_search_that_leaves_the_kernel_as_far_as_it_was_is_marked(
    net, tmp_path, monkeypatch, distance, marks
):
    """The last epoch counts, whatever was before."""

    def note(self, loop, record):
        record["kernel_distance"] = distance if loop.epoch == loop.epochs - 1 else 1.8 - distance

    monkeypatch.setattr(awt.Transfer, "after_epoch", note)
    task = task_for("awt", tmp_path)
    base.load("awt").prune(net, task)
    assert len(task.trainer.marks) == marks
    assert all(f"{distance}" in line for line in task.trainer.marks)


def test_rewinding_keeps_the_mask_only(net, tmp_path, monkeypatch):
    start = copy.deepcopy(net.state_dict())
    kept = copy.deepcopy(net)
    masks, *_ = search(net, tmp_path / "a", monkeypatch, epochs=1, rewind=True)
    assert all(torch.equal(v, start[n]) for n, v in net.state_dict().items())
    same, *_ = search(kept, tmp_path / "b", monkeypatch, epochs=1)
    assert all(torch.equal(m, same[n]) for n, m in masks.items())
    assert not torch.equal(kept.conv1.weight, start["conv1.weight"])


def test_a_killed_search_resumes_to_the_same_bits(net, tmp_path, monkeypatch):
    twin = copy.deepcopy(net)
    masks, *_ = search(net, tmp_path / "a", monkeypatch, epochs=2, refreshes=1)
    with pytest.raises(KilledError):
        search(copy.deepcopy(twin), tmp_path / "b", monkeypatch, epochs=2, refreshes=1, kill=3)
    again, *_ = search(twin, tmp_path / "b", monkeypatch, epochs=2, refreshes=1)
    assert all(torch.equal(m, again[n]) for n, m in masks.items())
    assert all(torch.equal(v, twin.state_dict()[n]) for n, v in net.state_dict().items())
