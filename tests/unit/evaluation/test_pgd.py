"""The quick check of a net by PGD."""

import torch
from torch import nn

from advprune.evaluation.pgd import measure
from advprune.plan.specs import Threat


class Bright(nn.Module):
    """Two classes: the logit of the second is the pixel minus a half."""

    def forward(self, x):
        value = x.flatten(1).mean(1) - 0.5
        return torch.stack([torch.zeros_like(value), value], 1)


def test_shares_follow_from_the_distances_to_the_boundary(rng):
    """Of four images right as they are, one is farther than eps from the boundary."""
    pixels = torch.tensor([0.1, 0.45, 0.55, 0.42, 0.6])
    x, y = pixels.view(5, 1, 1, 1), torch.tensor([0, 0, 1, 0, 0])
    found = measure(Bright(), x, y, Threat(0.1, 0.025, 20), 2, rng)
    assert found == {"clean": 0.8, "pgd": 0.2, "largest_answer": 0.6}


def test_a_net_that_answers_at_random_is_told_from_one_that_gives_one_answer(rng):
    x, y = torch.full((10, 1, 2, 2), 0.9), torch.arange(10) % 2
    found = measure(Bright(), x, y, Threat(0.01, 0.0025, 20), 4, rng)
    assert found == {"clean": 0.5, "pgd": 0.5, "largest_answer": 1.0}
