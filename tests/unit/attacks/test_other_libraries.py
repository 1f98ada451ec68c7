"""Attacks of other libraries, judged by us."""

import numpy as np
import pytest
import torch

from advprune.attacks import other_libraries
from advprune.attacks.boundary import misclassified
from advprune.attacks.fmn import fmn
from advprune.attacks.other_libraries import ATTACKS, distance_by
from advprune.compact.convert import compact
from helpers.attacked_nets import Constant, digits_case, linear_case

SETTINGS = {"eps": 0.15, "steps": 30, "seed": 3}
# Brendel & Bethge's attack compiles for half a minute: once, in one worker
QUICK = [name for name in ATTACKS if name != "brendel_bethge"]
COMPILED = [pytest.mark.slow, pytest.mark.xdist_group("brendel")]
EVERY = [*QUICK, pytest.param("brendel_bethge", marks=COMPILED)]


def images(count=16):
    net, x, y = digits_case()
    return net, x[:count], y[:count]


@pytest.mark.parametrize("name", EVERY)
def test_distances_on_a_linear_net_are_never_below_the_true_ones(name):
    net, x, y, true = linear_case((1, 4, 4))
    distance = distance_by(name, net, x, y, **SETTINGS | {"eps": 0.3})
    assert (distance >= true - 1e-5).all()
    assert distance.isfinite().all()


@pytest.mark.parametrize("name", EVERY)
def test_wrong_images_have_distance_zero_and_no_success_is_infinite(name):
    net, x, y = images()
    y = y.clone()
    y[3] = (y[3] + 1) % 10
    distance = distance_by(name, net, x, y, **SETTINGS)
    assert ((distance == 0) == misclassified(net(x), y)).all() and distance[3] == 0
    x, y = torch.rand(4, 1, 4, 4), torch.zeros(4, dtype=torch.long)
    assert distance_by(name, Constant(), x, y, **SETTINGS).isinf().all()


@pytest.mark.parametrize("name", ["pgd_restarts", "spsa"])
def test_attacks_at_a_radius_stay_within_it(name):
    distance = distance_by(name, *images(), **SETTINGS)
    assert distance[distance.isfinite()].max() <= 0.15 + 1e-6
    assert distance.isfinite().sum() > 0


def test_deepfool_is_near_fmn():
    net, x, y = images()
    ratio = distance_by("deepfool", net, x, y, **SETTINGS) / fmn(net, x, y, steps=100).distance
    assert 0.7 < ratio.nanmedian() < 1.3


@pytest.mark.parametrize("name", ["pgd_restarts", "spsa"])
def test_a_seed_fixes_the_result_and_leaves_the_global_states_alone(name):
    net, x, y = images(4)

    def asked(seed):
        seen = []
        hook = net.register_forward_hook(lambda _m, args, _o: seen.append(args[0].detach()))
        distance_by(name, net, x, y, **SETTINGS | {"seed": seed})
        hook.remove()
        return torch.cat([points[:4] for points in seen])

    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = asked(3)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    torch.rand(3)
    assert torch.equal(first, asked(3))
    assert not torch.equal(first, asked(4))


@pytest.mark.parametrize("kind", ["itself", "outside"])
def test_what_a_library_calls_adversarial_is_judged(monkeypatch, kind):
    net, x, y = images()
    wrong = {"itself": lambda net, x, y, *_: x, "outside": lambda net, x, y, *_: x.roll(1, 0) + 2}
    monkeypatch.setitem(other_libraries.ATTACKS, "liar", wrong[kind])
    distance = distance_by("liar", net, x, y, **SETTINGS)
    assert distance[~misclassified(net(x), y)].isinf().all()


@pytest.mark.parametrize("name", QUICK)
def test_a_net_without_parameters_is_no_reason_to_print(name, capsys):
    net, x, y = images(2)
    distance_by(name, compact(net, x.shape[1:]), x, y, **SETTINGS | {"steps": 2})
    assert capsys.readouterr().out == ""
