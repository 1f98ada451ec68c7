import pytest
import torch
from pyautoattack.fab_pt import FABAttack_PT

from advprune.attacks import fab
from advprune.attacks.fab import Fab
from helpers.attacked_nets import digits_case

EPS = 0.12


def both(targets=9, samples=12):
    """Adversarials of the original and of ours for digits, and the images."""
    net, x, y = digits_case()
    x, y = x[:samples], y[:samples]
    for kind in (FABAttack_PT, Fab):
        attack = kind(net, n_restarts=1, n_iter=40, eps=EPS, seed=1, norm="Linf", device="cpu")
        attack.targeted, attack.n_target_classes = True, targets
        with torch.random.fork_rng():
            yield attack.perturb(x, y)
    yield x


@pytest.mark.parametrize("together", [1, 3 * 12 * 64, 10**6])
@pytest.mark.parametrize("targets", [4, 9])
def test_the_points_are_those_of_the_original(monkeypatch, together, targets):
    monkeypatch.setattr(fab, "TOGETHER", together)
    expected, found, x = both(targets)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    moved = (found != x).flatten(1).any(1)
    assert 0 < moved.sum() < len(x)
    assert (found - x).abs().max() <= EPS


def test_one_sample():
    expected, found, _ = both(samples=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_other_kinds_of_fab_are_the_original():
    net, x, y = digits_case()
    answers = []
    for kind in (FABAttack_PT, Fab):
        attack = kind(net, n_restarts=2, n_iter=10, eps=EPS, seed=1, norm="Linf", device="cpu")
        with torch.random.fork_rng():
            answers.append(attack.perturb(x[:6], y[:6]))
    assert torch.equal(*answers)
