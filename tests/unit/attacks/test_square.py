import pytest
import torch
from pyautoattack.square import SquareAttack
from torch import nn

from advprune.attacks.square import Square
from helpers.attacked_nets import coarse, digits_case, exact_case


class Counted(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.images = net, 0

    def forward(self, x):
        self.images += len(x)
        return self.net(x)


def both(net, x, y, **settings):
    """((adversarial, images seen) of the original, the same of ours)."""
    settings = {"eps": 1 / 8, "n_queries": 300, "p_init": 0.8, "seed": 4} | settings
    for kind in (SquareAttack, Square):
        counted = Counted(net)
        attack = kind(counted, norm="Linf", n_restarts=1, device="cpu", **settings)
        attack.resc_schedule = False
        with torch.random.fork_rng(), torch.no_grad():
            yield attack.perturb(x, y), counted.images


@pytest.mark.parametrize("settings", [{}, {"eps": 5 / 16}, {"seed": 9}])
def test_the_points_are_those_of_the_original(settings):
    """To the bit, though ours are asked about in smaller batches: nothing is rounded."""
    net, x, y = exact_case()
    (expected, asked), (found, ours) = both(net, x[:12], y[:12], **settings)
    assert torch.equal(found, expected)
    assert not torch.equal(found, x[:12])
    assert ours < asked


def test_the_points_are_those_of_the_original_in_colour():
    x = torch.randint(17, (6, 3, 9, 9), generator=torch.Generator().manual_seed(1)) / 16.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 5))
    net, x = coarse(net).eval(), x.double()
    y = net(x).argmax(1)
    (expected, asked), (found, ours) = both(net, x, y, eps=1 / 16)
    assert torch.equal(found, expected)
    assert ours <= asked


def test_few_questions_are_left_on_small_images():
    """Once no pixel helps, every later proposal has been turned down before."""
    net, x, y = digits_case()
    (_, asked), (_, ours) = both(net, x[:8], y[:8], eps=0.02, n_queries=5000)
    assert ours < asked / 4
