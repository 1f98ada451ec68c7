"""Overlap of masks: counts against sets, the closed form of chance, and which nets are compared."""

import numpy as np
import pytest
import torch

from advprune.evaluation import overlap
from advprune.models.registry import NetSpec, build

SPEC = NetSpec("resnet18", 2, 10, 1, 8, (0.3,), (0.4,))


def pruned(share, seed):
    """A net of which a share of every layer's weights is zero."""
    net, draw = build(SPEC), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                mask = torch.rand(parameter.shape, generator=draw) >= share
                parameter.copy_(torch.ones_like(parameter) * mask)
    return net


def test_counts_are_those_of_sets():
    one, other = pruned(0.6, 0), pruned(0.7, 1)
    found = overlap.overlap(overlap.kept(one), overlap.kept(other), overlap.sizes(one))

    def places(net):
        named = dict(net.named_parameters())
        return {
            (name, int(i))
            for name in overlap.sizes(net)
            for i in named[f"{name}.weight"].flatten().nonzero()
        }

    a, b = places(one), places(other)
    assert (found["kept"], found["other_kept"], found["both"]) == (len(a), len(b), len(a & b))
    assert found["jaccard"] == pytest.approx(len(a & b) / len(a | b))


def test_independent_masks_overlap_as_chance_expects():
    one, other = pruned(0.5, 0), pruned(0.5, 1)
    found = overlap.overlap(overlap.kept(one), overlap.kept(other), overlap.sizes(one))
    assert found["expected"] == pytest.approx(1 / 3, abs=0.01)
    assert found["jaccard"] == pytest.approx(found["expected"], abs=0.01)
    same = overlap.overlap(overlap.kept(one), overlap.kept(one), overlap.sizes(one))
    assert same["jaccard"] == 1.0


def test_nets_without_a_weight_have_no_overlap():
    bits, size = {"a": np.zeros(1, np.uint8)}, {"a": 8}
    found = overlap.overlap(bits, bits, size)
    assert found["jaccard"] == found["expected"] == 0.0


def test_methods_are_compared_by_seed_and_a_method_with_its_other_seeds():
    models = [{"method": m, "seed": s} for m in "ab" for s in (0, 1)]
    named = [(models[i], models[j]) for i, j in overlap.pairs(models)]
    told = {(a["method"] + str(a["seed"]), b["method"] + str(b["seed"])) for a, b in named}
    assert told == {("a0", "a1"), ("b0", "b1"), ("a0", "b0"), ("a1", "b1")}
