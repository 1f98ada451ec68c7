"""A rate that a net is too small for is refused in the plan, as its first job would refuse it."""

import itertools

import pytest
import torch

from advprune.base.errors import UserError
from advprune.methods.mad import shares
from advprune.methods.srgkp import kept_channels
from advprune.models.registry import NetSpec, build
from advprune.models.sizes import layers
from advprune.plan.feasible import rates
from advprune.pruning import masks as mk
from helpers.configs import planned
from helpers.nets import NETS

SPARSITIES = ("0.3", "0.5", "0.9", "0.95", "0.97", "0.98", "0.99", "0.995", "0.999", "0.9999")


def built(net_fields, width):
    """A fresh net for digits."""
    images = {"classes": 10, "channels": 1, "size": 8, "mean": (0.5,), "std": (0.25,)}
    return build(NetSpec(width=width, **images, **net_fields))


def planned_layers(net_fields, width):
    """Its layers as the plan knows them."""
    return layers(width=width, classes=10, channels=1, **net_fields)


def refuses(call):
    try:
        call()
    except UserError:
        return True
    return False


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_the_plan_refuses_what_the_job_would_refuse_and_nothing_else(net_fields):
    net = built(net_fields, 4)
    found = set()
    for structure, sparsity in itertools.product(
        ("unstructured", "filters", "channels", "kernels"), SPARSITIES
    ):
        setting = [("lwm", structure, sparsity)]
        plan = refuses(lambda s=setting: rates.check("net", planned_layers(net_fields, 4), s))
        job = refuses(lambda s=structure, p=sparsity: mk.check_sparsity(net, s, float(p)))
        assert plan == job, (structure, sparsity)
        found.add(plan)
    assert found == {True, False}


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_mads_rows_are_counted_as_mad_counts_them(net_fields):
    found = set()
    for width, sparsity in itertools.product((2, 4, 16), SPARSITIES):
        net = built(net_fields, width)
        sizes = {name: torch.empty_like(w) for name, w in mk.weights(net).items()}
        found_layers = planned_layers(net_fields, width)
        setting = [("mad", "unstructured", sparsity)]
        plan = refuses(lambda s=setting, f=found_layers: rates.check("net", f, s))
        head = list(sizes)[-1]
        job = refuses(lambda n=net, p=sparsity: mk.check_sparsity(n, "unstructured", float(p)))
        job = job or refuses(lambda s=sizes, h=head, p=sparsity: shares(s, h, float(p)))
        assert plan == job, (width, sparsity)
        found.add(plan)
    assert found == {True, False}


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_srgkps_filters_are_counted_as_it_counts_them(net_fields):
    found = set()
    for width, sparsity in itertools.product((2, 4, 16), SPARSITIES):
        net = built(net_fields, width)
        shapes = {n: (w.shape[0], w.shape[1]) for n, w in mk.weights(net, "kernels").items()}
        found_layers = planned_layers(net_fields, width)
        setting = [("srgkp", "kernels", sparsity)]
        plan = refuses(lambda s=setting, f=found_layers: rates.check("net", f, s))
        assert plan == refuses(lambda s=shapes, p=sparsity: kept_channels(s, float(p)))
        found.add(plan)
    assert found == {True, False}


def test_it_is_one_line_that_names_the_method_and_the_net():
    message = r"config: grid: \w+: a sparsity of 0\.9999 leaves .* of digits/resnet18"
    with pytest.raises(UserError, match=message) as error:
        planned("grid.0.unstructured", [0.9999])
    assert "\n" not in str(error.value)


def test_a_net_of_ones_own_is_left_to_its_first_job():
    rates.check("mine", layers("a_net_of_ones_own", 4, 10, 1), [("lwm", "filters", "0.9999")])
