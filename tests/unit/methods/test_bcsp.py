"""docs/methods/bcsp.md, "What must hold"."""

import pytest
import torch

from advprune.methods import base, bcsp
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk
from advprune.training.loop import Loop
from helpers.methods import task_for

NAMED = {
    "conv1": 0.6, "layer1.*": 0.2, "fc": 0.6, "features.0": 0.6, "features.3": 0.6,
    "features.7": 0.2, "features.10": 0.2, "classifier.4": 0.6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "density", "expected"),
    [
        # docs/methods/bcsp.md, "What must hold"
        ("resnet18", 0.1, 584_090),
        ("resnet18", 0.01, 88_640),
        ("vgg16", 0.1, 820_945),
        ("vgg16", 0.01, 144_124),
        ("vgg16", 0.005, 106_523),
    ],
)
def test_initial_counts_of_the_page(arch, density, expected, tmp_path):
    assert task_for("bcsp", tmp_path).params["init_density"] == NAMED
    net = build(NetSpec(arch, 64, 10, 3, 32, (0.5,) * 3, (0.2,) * 3))
    assert sum(bcsp.initial_counts(net, NAMED, density).values()) == expected


def parametrised(net, folder):
    """(θ by parameter name, weight by layer name) after the method's start."""
    thetas = bcsp.METHOD.parametrise(net, task_for("bcsp", folder))
    return thetas, {n: m.weight for n, m in mk.prunable(net, "unstructured").items()}


def test_the_start_is_he_normal_with_random_signs(net, tmp_path):
    thetas, weights = parametrised(net, tmp_path)
    counts = bcsp.initial_counts(net, NAMED, 0.2)
    assert set(thetas) <= set(dict(net.named_parameters()))
    for theta, (name, weight) in zip(thetas.values(), weights.items(), strict=True):
        assert int((theta > 0).sum()) == counts[name] and not (theta < 0).any()
        assert torch.equal(weight.abs(), theta)
    name = "layer4.1.conv2"
    values = weights[name][weights[name] != 0].detach()
    scale = (2 / weights[name][0].numel()) ** 0.5
    assert values.std() == pytest.approx(scale, rel=0.1)
    assert values.abs().max() <= 2 * scale / 0.8796
    assert 0.4 < (values > 0).float().mean() < 0.6


def test_disconnected_weights_have_no_gradient_and_signs_stay():
    theta = torch.tensor([0.5, 0.0, -0.3, 0.2], requires_grad=True)
    sign = torch.tensor([-1.0, 1.0, 1.0, 1.0])
    weight = bcsp.Signed(sign)(theta)
    assert weight.tolist() == pytest.approx([-0.5, 0, 0, 0.2])
    (weight * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    assert theta.grad.tolist() == [-1, 0, 0, 4]


def test_layers_are_drawn_in_proportion_to_their_sizes(rng):
    sizes, free = {"a": 1000, "b": 3000, "c": 6000}, dict.fromkeys("abc", 10**6)
    taken = bcsp.drawn_layers(20_000, sizes, free, rng)
    assert sum(taken.values()) == 20_000
    assert [taken[n] / 20_000 for n in "abc"] == pytest.approx([0.1, 0.3, 0.6], abs=0.02)
    taken = bcsp.drawn_layers(8000, sizes, free | {"c": 100}, rng)
    assert taken["c"] == 100 and sum(taken.values()) == 8000
    assert taken["b"] / taken["a"] == pytest.approx(3, rel=0.2)
    assert bcsp.drawn_layers(-3, sizes, free, rng) == {"a": 0, "b": 0, "c": 0}
    assert bcsp.drawn_layers(9, {"a": 2, "b": 2}, {"a": 1, "b": 0}, rng) == {"a": 1, "b": 0}


def after_a_step(net, folder, budget, noise=0.0, vanish=3):
    """A sampling hook after a step at rate 0.1 in which some connections vanished."""
    thetas, _ = parametrised(net, folder)
    masks = {n: t.detach() > 0 for n, t in thetas.items()}
    hook = bcsp.Sampling(dict(masks), budget, noise, 1e-12)
    loop = Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), 1, 10, step=1)
    with torch.no_grad():
        for theta in thetas.values():
            theta.view(-1)[theta.view(-1).nonzero()[:vanish, 0]] *= -0.01
    before = {n: t.detach().clone() for n, t in thetas.items()}
    net.eval()
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = net(x)
    hook.after_step(loop)
    return hook, thetas, before, masks, (logits, net(x))


@pytest.mark.parametrize("extra", [0, 500])
def test_the_budget_is_refilled_with_tiny_weights(net, tmp_path, extra):
    start = sum(bcsp.initial_counts(net, NAMED, 0.2).values())
    hook, thetas, before, _, (old, new) = after_a_step(net, tmp_path, start + extra)
    assert mk.count(t > 0 for t in thetas.values())[0] == start + extra
    missing = 0
    for name, theta in thetas.items():
        born = (theta > 0) & (before[name] <= 0)
        missing += int(born.sum())
        assert (theta[born] == torch.tensor(1e-12)).all()
        assert torch.equal(theta[~born], before[name][~born])  # negative ones keep their value
        assert torch.equal(hook.masks[name], theta > 0)
    assert missing == extra + 3 * len(thetas)
    assert torch.allclose(old, new, atol=1e-6)


def test_nothing_is_cut_above_the_budget(net, tmp_path):
    _, thetas, before, _, _ = after_a_step(net, tmp_path, 10)
    assert all(torch.equal(t, before[n]) for n, t in thetas.items())


def test_noise_hits_what_was_connected_at_the_scale_of_the_rate(net, tmp_path):
    _, thetas, before, masks, _ = after_a_step(net, tmp_path, 0, noise=1e-2, vanish=0)
    moved = torch.cat([(t.detach() - before[n])[masks[n]] for n, t in thetas.items()])
    assert moved.std() == pytest.approx(0.1 * 1e-2, rel=0.1)
    still = [(t.detach() - before[n])[~masks[n]] for n, t in thetas.items()]
    assert not any(s.any() for s in still)


def test_training_keeps_signs_and_budget_and_changes_the_topology(net, tmp_path, monkeypatch):
    log = []
    step = bcsp.Sampling.after_step

    def watched(self, loop):
        thetas = {n: p for n, p in loop.net.named_parameters() if n in self.masks}
        ahead = mk.count(t.detach() > 0 for t in thetas.values())[0]
        step(self, loop)
        assert all(torch.equal(self.masks[n], t.detach() > 0) for n, t in thetas.items())
        log.append((ahead, mk.count(self.masks.values())[0], self.budget))
        signs.update({n: m.sign.clone() for n, m in loop.net.named_modules() if hasattr(m, "sign")})

    signs = {}
    monkeypatch.setattr(bcsp.Sampling, "after_step", watched)
    task = task_for("bcsp", tmp_path)
    masks = base.load("bcsp").prune(net, task)
    total = sum(m.numel() for m in masks.values())
    budget = mk.kept_count(total, 0.8)
    assert len(log) == 6
    for ahead, after, goal in log:
        assert goal == budget and after == max(ahead, budget)
    assert any(ahead < budget for ahead, _, _ in log[1:])  # connections do vanish
    assert mk.count(masks.values()) == (budget, total)
    assert mk.violations(net, masks) == []
    for name, weight in mk.weights(net).items():
        assert (weight * signs[f"{name}.parametrizations.weight.0"] >= 0).all()


def test_the_export_keeps_the_largest_of_the_whole_net(net, tmp_path):
    thetas, weights = parametrised(net, tmp_path)
    kept = {n: t.detach().clone() for n, t in zip(weights, thetas.values(), strict=True)}
    dense = {n: w.detach().clone() for n, w in weights.items()}
    masks = bcsp.METHOD.export(net, thetas, 0.95)  # fewer than are connected
    assert mk.count(masks.values())[0] == mk.kept_count(sum(t.numel() for t in kept.values()), 0.95)
    ordered = torch.cat([kept[n][masks[f"{n}.weight"]] for n in kept])
    gone = torch.cat([kept[n][~masks[f"{n}.weight"]] for n in kept])
    floor = [n for n in kept if masks[f"{n}.weight"].sum() == 1]
    assert floor or ordered.min() >= gone.max()
    for name, weight in mk.weights(net).items():
        mask = masks[f"{name}.weight"]
        assert mask.any() and torch.equal(weight[mask], dense[name][mask])
        assert not weight[~mask].any()


def test_decay_alone_changes_no_connection():
    theta = torch.tensor([0.5, 1e-12, -0.3, 0.0], requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(300):
        theta.grad = torch.zeros_like(theta)
        optimizer.step()
    assert (theta > 0).tolist() == [True, True, False, False] and theta[0] < 0.45
