"""Indicators of attack failure: each is raised by its own failure, and not by a plain net."""

import pytest
import torch
from torch import nn

from advprune.attacks import indicators as ind
from advprune.attacks.boundary import misclassified
from advprune.attacks.fmn import FmnConfig, MinimumNorm
from advprune.base.seeds import generator
from helpers.attacked_nets import Constant, digits_case, linear_case

NAMES = {
    "unavailable_gradients",
    "unstable_predictions",
    "silent_success",
    "incomplete_optimisation",
    "transfer_failure",
    "unconstrained_failure",
}


def shares(net, x, y, saved=None, eps=0.1):
    with torch.no_grad():
        right = ~misclassified(net(x), y)
    assert right.sum() > 10
    settings = {"eps": eps, "steps": 40, "config": FmnConfig(), "generator": generator(0)}
    found = ind.indicators(net, saved or net, x[right], y[right], **settings)
    assert all(f.dtype == torch.bool and f.shape == y[right].shape for f in found.values())
    return {name: f.double().mean().item() for name, f in found.items()}


class Wrapped(nn.Module):
    """The net that learnt digits behind one more step; `after` acts on its logits."""

    def __init__(self, before=lambda x: x, after=lambda logits: logits):
        super().__init__()
        self.net, self.before, self.after = digits_case()[0], before, after

    def forward(self, x):
        return self.after(self.net(self.before(x)))


def images(count=60):
    _, x, y = digits_case()
    return x[:count], y[:count]


def test_a_plain_net_raises_none():
    found = shares(digits_case()[0], *images())
    assert set(found) == NAMES
    assert max(found.values()) == 0


def test_quantised_activations_make_gradients_unavailable():
    """Rounding has a gradient of zero."""
    found = shares(Wrapped(lambda x: (4 * x).round() / 4), *images())
    assert found["unavailable_gradients"] == 1
    assert found["unconstrained_failure"] == 1  # the same net without rounding has none


def test_a_net_without_a_graph_has_no_gradients():
    x, y = images()
    assert ind.unavailable_gradients(Wrapped(lambda x: x.detach()), x, y).all()


def test_saturated_activations_make_gradients_unavailable():
    found = shares(Wrapped(after=lambda logits: torch.tanh(1e3 * logits) + 1e-3), *images())
    assert found["unavailable_gradients"] > 0.05


def test_one_pixel_with_a_gradient_is_enough():
    x, y = images()
    net = Wrapped(lambda x: torch.cat([x[..., :1, :], x[..., 1:, :].detach()], dim=2))
    assert not ind.unavailable_gradients(net, x, y).any()


def test_noise_makes_predictions_unstable():
    noise = generator(0, "noise")
    net = Wrapped(lambda x: x + 0.2 * torch.randn(x.shape, generator=noise))
    assert shares(net, *images())["unstable_predictions"] > 0.9


def test_the_draws_lie_around_the_image_and_their_mean_change_counts():
    """The loss of a linear net's image changes in proportion to the noise."""
    net, x, y, _ = linear_case((1, 4, 4))
    assert not ind.unstable_predictions(net, x, y, generator(0)).any()
    asked = []
    net.register_forward_hook(lambda _m, args, _o: asked.append(args[0]))
    ind.unstable_predictions(net, x, y, generator(0))
    moved = torch.stack(asked[1:]) - asked[0]
    assert len(moved) == 100
    assert 0.9e-3 < moved.abs().max() <= 1.001e-3
    assert abs(moved.mean()) < 1e-4


def test_a_net_that_cannot_be_fooled_fails_without_bounds():
    x = torch.rand(20, 1, 4, 4, generator=generator(0))
    found = shares(Constant(), x, torch.zeros(20, dtype=torch.long))
    assert found["unconstrained_failure"] == 1


def test_points_that_do_not_transfer_to_the_saved_net():
    x, y = images()
    net = digits_case()[0]
    coarse = Wrapped(lambda x: (2 * x).round() / 2)
    assert shares(net, x, y, saved=net)["transfer_failure"] == 0
    right = ~misclassified(coarse(x), y) & ~misclassified(net(x), y)
    assert shares(net, x[right], y[right], saved=coarse)["transfer_failure"] > 0.1


def test_success_that_is_not_reported_is_seen(monkeypatch):
    """An attack that forgets what it has found: everything it asked is compared with its report."""
    x, y = images()

    def forgetful(net, x, y, **settings):
        real = fmn(net, x, y, **settings)
        none = torch.zeros_like(real.found)
        return MinimumNorm(torch.full_like(real.distance, torch.inf), x, none, 0, 0)

    fmn = ind.fmn
    within = (fmn(digits_case()[0], x, y, steps=40).distance <= 0.1).double().mean().item()
    assert 0.05 < within < 1
    monkeypatch.setattr(ind, "fmn", forgetful)
    assert shares(digits_case()[0], x, y)["silent_success"] == pytest.approx(within, abs=0.06)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([10.0] * 5 + [5.0] * 20, False),  # at rest
        ([float(v) for v in range(40, 10, -1)], True),  # still falling at the end
        ([20.0] + [2.0] * 15 + [1.2] * 8, False),  # the last fall is 0.8 of 18.8
        ([20.0] + [2.0] * 15 + [1.0] * 8, True),  # 1 of 19
        ([float(v) for v in range(20, -10, -1)], False),  # broken: no failure
        ([5.0] * 30, False),  # never moved
        ([10.0, 2.0] + [9.0] * 20 + [5.0], False),  # the smallest so far counts
    ],
)
def test_incomplete_optimisation(path, expected):
    assert ind.incomplete(torch.tensor(path)[:, None]).item() is expected


def test_pgd_stays_within_eps_and_the_box_and_reaches_the_nearest_boundary():
    net, x, y, distance = linear_case((1, 4, 4))
    for scale, broken in ((0.98, False), (1.02, True)):
        for i in range(len(x)):
            path = ind.pgd(net, x[i : i + 1], y[i : i + 1], scale * distance[i].item(), 50)
            assert path.shape == (51, 1)
            assert (path[-1] < 0).item() is broken
