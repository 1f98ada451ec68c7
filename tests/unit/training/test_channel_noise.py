"""docs/methods/luo23.md, "What must hold", for its noise."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.training import channel_noise
from helpers.small import blobs
from helpers.training import THREAT


def data(n=30):
    split = blobs(n)
    return split.images / 255, split.labels


def mixed(kinds=channel_noise.KINDS, seed=0, **options):
    settings = {"l2_share": 0.3, "lr": 1e-2} | options
    rng = torch.Generator().manual_seed(seed)
    return channel_noise.MixedNoise(THREAT, kinds, 1, settings["l2_share"], settings["lr"], rng)


@pytest.mark.parametrize("kind", [k for k in channel_noise.KINDS if k != "learned"])
def test_every_attack_stays_near_and_raises_the_loss(net, rng, kind):
    x, y = data()
    net.eval()
    noisy = mixed([kind])(net, x, y, rng)
    assert noisy.shape == x.shape and noisy.min() >= 0 and noisy.max() <= 1
    offset = noisy - x
    assert F.cross_entropy(net(noisy), y) > F.cross_entropy(net(x), y) + 1e-3
    if kind != "l2":
        assert THREAT.eps - 1e-6 <= offset.abs().max() <= THREAT.eps + 1e-6
    else:  # two steps of a fifth of the radius
        radius = 0.3 * THREAT.eps * math.sqrt(64)
        assert offset.flatten(1).norm(dim=1).max() == pytest.approx(0.4 * radius, rel=0.05)


def test_the_l2_attack_ends_on_its_sphere(net):
    x, y = data()
    x = 0.4 + 0.2 * x  # so that the sphere lies inside the box
    net.eval()
    lengths = (channel_noise.l2_pgd(net, x, y, 0.3, steps=10) - x).flatten(1).norm(dim=1)
    assert lengths.max() == pytest.approx(0.3, abs=1e-5)


def test_the_net_and_the_images_are_left_alone(net, rng):
    x, y = data()
    before, kept = copy.deepcopy(net.state_dict()), x.clone()
    mixed()(net, x, y, rng)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    assert torch.equal(x, kept) and all(p.grad is None for p in net.parameters())


def test_momentum_remembers_earlier_gradients():
    """Where the slope turns after one step, plain steps turn around; with momentum they go on."""

    class Turning(torch.nn.Module):
        def forward(self, x):
            rise = torch.where(x.detach() < 0.54, x, -0.1 * x).flatten(1).sum(1)
            return torch.stack([-rise, torch.zeros_like(rise)], dim=1)

    x, y = torch.full((1, 1, 1, 2), 0.5), torch.zeros(1, dtype=torch.long)
    x[0, 0, 0, 1] = 0.8
    found = {
        d: channel_noise.momentum_iterative(Turning(), x, y, THREAT, decay=d) for d in (0.0, 1.0)
    }
    assert found[0.0][0, 0, 0, 0] == pytest.approx(0.5)
    assert found[1.0][0, 0, 0, 0] == pytest.approx(0.6)


def test_the_perturber_learns_to_raise_the_loss(net, rng):
    x, y = data()
    net.eval()
    mix = mixed(["learned"])
    first = F.cross_entropy(net(mix(net, x, y, rng)), y).item()
    for _ in range(30):
        noisy = mix(net, x, y, rng)
    assert F.cross_entropy(net(noisy), y).item() > first + 0.01
    assert (noisy - x).abs().max() <= THREAT.eps + 1e-6 and noisy.min() >= 0


def test_kinds_are_drawn_evenly_and_by_the_generator(net, monkeypatch):
    counts = dict.fromkeys(channel_noise.KINDS, 0)

    def count(self, kind, net, x, y, rng):
        counts[kind] += len(x)
        return x

    x, y = data(30)
    monkeypatch.setattr(channel_noise.MixedNoise, "perturbed", count)
    mix, rng = mixed(), torch.Generator().manual_seed(0)
    for _ in range(100):
        mix(net, x, y, rng)
    assert sum(counts.values()) == 3000 and all(520 < c < 680 for c in counts.values())


def test_the_same_seed_gives_the_same_noise(net):
    x, y = data()

    def noisy(seed):
        return mixed()(net, x, y, torch.Generator().manual_seed(seed))

    assert torch.equal(noisy(1), noisy(1)) and not torch.equal(noisy(1), noisy(2))
    assert not torch.equal(*[mixed(seed=s).perturber(x) for s in (0, 1)])


def test_the_state_brings_the_perturber_back(net, rng):
    x, y = data()
    first, second = mixed(["learned"]), mixed(["learned"], seed=9)
    first(net, x, y, rng)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        same = [mix(net, x, y, rng) for mix in (first, second)]
    assert torch.equal(*same)


def test_unknown_noise_is_an_error():
    with pytest.raises(UserError, match="fog"):
        mixed(["fog"])
