import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from advprune.base import structures as names
from advprune.methods import base
from advprune.plan.methods import load_method
from advprune.pruning import masks as mk
from advprune.pruning.structures import STRUCTURES, Structure, named
from advprune.report import records
from helpers.checkout import ROOT
from helpers.methods import task_for

SHAPES = st.one_of(
    st.tuples(*[st.integers(1, 5)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2, *[st.integers(1, 3)] * 2),
)


@pytest.fixture
def columns(monkeypatch):
    """A fifth structure: one column of the kernels that read one channel."""
    entry = Structure((1, 3), STRUCTURES["kernels"].choose)
    monkeypatch.setitem(STRUCTURES, "columns", entry)
    return entry


def entries(shape):
    """Every position of a weight, as a number of its own."""
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).view(shape)


@given(structure=st.sampled_from(names.STRUCTURES), shape=SHAPES, seed=st.integers(0, 99))
def test_what_is_spread_is_found_again_unit_by_unit(structure, shape, seed):
    kind, weight = named(structure), entries(shape)
    if kind.axes == (0, 1) and len(shape) == 2:
        return  # a linear layer has no kernels
    rng = torch.Generator().manual_seed(seed)
    units = torch.rand(kind.shape(weight), generator=rng) < 0.5
    mask = kind.expand(units, weight)
    assert mask.shape == weight.shape and mask.dtype == torch.bool
    assert torch.equal(kind.occupied(mask), units)
    assert torch.equal(weight * mask, weight * kind.spread(units, weight))
    assert torch.allclose(kind.norms(weight * mask, 1), kind.norms(weight, 1) * units)
    # units are disjoint and make up the whole weight
    assert kind.norms(weight, 1).sum() == weight.sum()


def test_which_weights_are_one_unit():
    weight = entries((2, 3, 2, 2))
    assert torch.equal(named("unstructured").norms(-weight), weight)
    assert named("filters").norms(weight, 1).tolist() == [78, 222]
    assert named("channels").norms(weight, 1).tolist() == [68, 100, 132]
    assert named("kernels").norms(weight, 1).tolist() == [[10, 26, 42], [58, 74, 90]]
    assert named("channels").norms(torch.tensor([[3.0, 0], [4, 2]])).tolist() == [5, 2]


@pytest.mark.parametrize("structure", names.STRUCTURES)
@pytest.mark.parametrize("shape", [(), (2,), (3,), (2, 3), (3, 2), (2, 3, 2, 2)])
def test_units_of_another_structure_are_refused(structure, shape):
    weight, units = entries((2, 3, 2, 2)), torch.ones(shape)
    if named(structure).shape(weight) == shape:
        assert named(structure).spread(units, weight).numel() == units.numel()
        return
    with pytest.raises(ValueError, match="units of shape"):
        named(structure).spread(units, weight)


def test_an_unknown_structure_is_refused(net):
    with pytest.raises(ValueError, match=r"unknown structure 'none' \(known: unstr"):
        mk.prunable(net, "none")


def test_what_is_prunable(net):
    convs = {n for n, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(mk.prunable(net, "unstructured")) == convs | {"fc"}
    assert set(mk.prunable(net, "filters")) == convs
    assert set(mk.prunable(net, "channels")) == (convs | {"fc"}) - {"conv1"}
    shortcuts = {n for n in convs if "shortcut" in n}
    assert len(shortcuts) == 3
    assert set(mk.prunable(net, "kernels")) == convs - {"conv1"} - shortcuts


def test_all_lists_of_structures_are_one():
    assert tuple(STRUCTURES) == names.STRUCTURES
    schemas = [
        yaml.safe_load((ROOT / f"workflow/schemas/{name}.schema.yaml").read_text(encoding="utf-8"))
        for name in ("config", "method")
    ]
    lists = [found for schema in schemas for found in enumerated(schema, "unstructured")]
    assert lists == [["none", *names.STRUCTURES]] * 2
    assert ("none", *names.STRUCTURES) == records.STRUCTURES


def enumerated(schema, value):
    """All enumerations of a schema that hold the value."""
    if isinstance(schema, dict):
        if value in schema.get("enum", ()):
            yield schema["enum"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from enumerated(part, value)


@pytest.mark.parametrize(
    ("key", "over"),
    [
        ("lwm", {}),
        ("hydra", {}),
        ("radmm", {}),
        ("lottery", {}),
        ("dnr", {"updates": 2}),
        ("harp", {"start": {"columns": 0.5}, "gamma_step": {"columns": 0.1}}),
        ("intrain", {}),
    ],
)
def test_a_fifth_structure_is_one_entry(net, tmp_path, columns, key, over):
    """Score, projection, ticket, rewiring and gates take it without a line of their own."""
    task = task_for(key, tmp_path, "columns", 0.5, **over)
    masks = base.load(key).prune(net, task)
    units = [columns.occupied(masks[f"{n}.weight"]) for n in mk.prunable(net, "columns")]
    for mask, alive in zip(masks.values(), units, strict=True):
        assert torch.equal(mask, columns.expand(alive, mask))
    kept, total = mk.count(units)
    assert abs(kept - total / 2) < len(units)
    mk.apply(net, masks)
    assert mk.violations(net, masks) == []


def test_methods_name_structures_that_there_are():
    for path in (ROOT / "config" / "methods").glob("*.yaml"):
        assert set(load_method(path.stem)["structures"]) <= {"none", *names.STRUCTURES}
