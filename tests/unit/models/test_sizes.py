"""Sizes that the plan computes are those of the nets that are built."""

import pytest

from advprune.base.structures import STRUCTURES
from advprune.data.specs import spec_of
from advprune.models.names import known_nets
from advprune.models.registry import NetSpec, build
from advprune.models.sizes import LAYERS, layers, units
from advprune.pruning.allocation import unit_counts
from advprune.pruning.masks import weights
from helpers.nets import NETS


@pytest.mark.parametrize("width", [1, 6])
@pytest.mark.parametrize("dataset", ["digits", "cifar100"])
@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_layers_and_units_are_those_of_the_net(net_fields, dataset, width):
    spec = spec_of(dataset)
    channels, size, _ = spec.shape
    sizes = {"width": width, "classes": spec.classes, "channels": channels}
    moments = {"mean": (0.5,) * channels, "std": (0.25,) * channels}
    net = build(NetSpec(size=size, **sizes, **moments, **net_fields))
    found = layers(**sizes, **net_fields)
    assert [layer.weights for layer in found] == [w.numel() for w in weights(net).values()]
    for structure in STRUCTURES:
        assert units(found, structure) == list(unit_counts(net, structure).values()), structure


def test_every_net_here_is_known_and_others_are_not():
    assert sorted(LAYERS) == known_nets()
    assert layers("a_net_of_ones_own", 4, 10, 3) is None
