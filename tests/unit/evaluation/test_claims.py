"""A claim counted as its makers count: filters that kept their BatchNorm, convolutions alone."""

import pytest
import torch

from advprune.compact.channels import Graph
from advprune.compact.convert import agree, compact
from advprune.evaluation.audit import audit
from advprune.evaluation.claims import constant_filters, share
from advprune.models.graph import own_norms
from advprune.plan.specs import COUNTED
from helpers.foreign import net_of

IMAGE = (1, 8, 8)


@pytest.fixture
def halved():
    """A net without half of each convolution's filters' weights, BatchNorm as it was."""
    net = net_of()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight[: len(module.weight) // 2] = 0
    return net


def test_filters_count_by_their_weights_where_their_makers_count_so(halved):
    found = audit(halved, IMAGE, "filters", 0.5, counted="filters")
    assert found["sparsity_claimed"] == 0.5
    assert found["sparsity_achieved"] == 0
    assert found["constant_filters"] == found["filters"] / 2
    assert found["reasons"] == []


def test_by_our_count_they_are_not_removed(halved):
    assert audit(halved, IMAGE, "filters", 0.5)["reasons"] == ["sparsity is 0.0000 instead of 0.5"]


def test_a_claim_that_does_not_hold_by_its_makers_own_count_is_flagged(halved):
    (reason,) = audit(halved, IMAGE, "filters", 0.75, counted="filters")["reasons"]
    assert reason == "sparsity is 0.5000 instead of 0.75"


def test_filters_without_scale_and_shift_emit_nothing(halved):
    with torch.no_grad():
        for norm in own_norms(halved).values():
            norm.weight[: len(norm.weight) // 2] = norm.bias[: len(norm.bias) // 2] = 0
    assert constant_filters(halved)[0] == 0
    assert audit(halved, IMAGE, "filters", 0.5, counted="filters")["sparsity_achieved"] == 0.5


def test_constants_are_folded_and_no_logit_changes(halved):
    """Only channels that the residual sums of other blocks need stay."""
    small = compact(halved, IMAGE)
    agree(halved, small, torch.rand(8, *IMAGE, generator=torch.Generator().manual_seed(3)))
    graph = Graph(halved.double(), IMAGE)
    calls = [node for node in graph.nodes if node.op == "call_module"]
    halves = [n for n in calls if n.target.startswith("layer") and n.target.endswith("bn1")]
    assert halves and all(int(graph.kept[n].sum()) == graph.channels(n) // 2 for n in halves)


def test_convolutions_and_all_weights_are_counted_apart():
    net = net_of()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.zero_()
    assert share(net, "convolutions", IMAGE) == 1
    weights = [m.weight for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    linear = weights[-1].numel()
    expected = 1 - linear / sum(w.numel() for w in weights)
    assert share(net, "weights", IMAGE) == pytest.approx(expected)


def test_multiplications_are_shown_and_held_against_nothing():
    found = audit(net_of(), IMAGE, "channels", 0.9, counted="macs")
    assert found["sparsity_claimed"] == 0 and found["reasons"] == []


@pytest.mark.parametrize("rule", COUNTED)
def test_nothing_removed_is_nothing(rule):
    assert share(net_of(), rule, IMAGE) == 0
