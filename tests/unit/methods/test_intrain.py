"""docs/methods/intrain.md, "What must hold"."""

import copy
import dataclasses
import itertools

import pytest
import torch

from advprune.methods import base, intrain
from advprune.methods.intrain import Budget
from advprune.pruning import masks as mk
from advprune.pruning.parametrization import attach
from advprune.pruning.reparam import Gate
from advprune.pruning.structures import named
from advprune.training.loop import Hook, Loop
from helpers.methods import task_for
from helpers.watching import check_resumes, watch


def task_with(folder, structure="unstructured", sparsity=0.8, params=None, **recipe):
    task = task_for("intrain", folder, structure, sparsity, **(params or {}))
    recipe = dataclasses.replace(task.recipes["train"], **recipe)
    return dataclasses.replace(task, recipes={"train": recipe})


def budget_on(net, structure="channels", target=0.4, weight=5.0, reach=0.09):
    gates = attach(
        net,
        structure,
        lambda _, w: Gate(torch.full_like(named(structure).norms(w), 0.2), structure),
    )
    budget = Budget(list(gates.values()), target, weight, reach)
    loop = Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), epochs=1, steps=9)
    return list(gates.values()), budget, loop


def clear(gates, gradient=0.0):
    for gate in gates:
        gate.gate.grad = torch.full_like(gate.gate, gradient)


@pytest.mark.parametrize("structure", ["unstructured", "channels"])
def test_the_share_counts_the_open_units_of_all_layers(net, structure):
    gates, budget, _ = budget_on(net, structure)
    assert budget.share().item() == 1
    with torch.no_grad():
        gates[3].gate[1:] = -1
    total = sum(w.shape[1] for w in mk.weights(net, "channels").values())
    if structure == "unstructured":
        total = sum(w.numel() for w in mk.weights(net).values())
    lost = gates[3].gate[1:].numel()
    assert budget.share().item() == pytest.approx(1 - lost / total)


def test_the_hinge_adds_its_gradient_only_above_the_budget(net):
    gates, budget, loop = budget_on(net)
    units = sum(g.gate.numel() for g in gates)
    clear(gates, 0.5)
    slope = 0.5 * (1 - gates[0].gate.detach().tanh() ** 2)
    budget.after_step(loop)
    # on top of what the robust loss has left there
    assert torch.allclose(gates[0].gate.grad, 0.5 + 5.0 / units * slope)
    with torch.no_grad():
        for gate in gates:
            gate.gate.fill_(-1)
            gate.gate[: int(0.3 * gate.gate.numel())] = 1
    assert budget.share() < 0.4
    clear(gates, 0.5)
    budget.after_step(loop)
    assert all(bool((g.gate.grad == 0.5).all()) for g in gates)


def test_without_other_gradients_gates_close_until_the_budget_is_met(net):
    gates, budget, loop = budget_on(net)
    before = {n: p.clone() for n, p in net.named_parameters() if not n.endswith(".gate")}
    with torch.no_grad():
        for gate in gates:
            gate.gate.copy_(torch.linspace(0.01, 0.3, gate.gate.numel()))
    shares = []
    for _ in range(80):
        clear(gates)
        budget.after_step(loop)
        shares.append(float(budget.share().detach()))
    assert shares[0] > 0.9 and all(b <= a for a, b in itertools.pairwise(shares))
    assert shares[-1] <= 0.4
    # the second optimiser moves gates and nothing else
    assert all(torch.equal(p, before[n]) for n, p in net.named_parameters() if n in before)


def test_a_gate_is_moved_by_the_reach_in_the_whole_phase_and_not_more(net):
    gates, budget, loop = budget_on(net, target=0.0, reach=0.18)
    for _ in range(loop.steps):
        clear(gates)
        budget.after_step(loop)
    assert gates[0].gate[1].item() == pytest.approx(0.2 - 0.18, abs=1e-3)


def test_gates_start_spread_over_the_interval_and_seeded(net, tmp_path, monkeypatch):
    starts = []

    class Start(Hook):
        def before_step(self, loop):
            if loop.step == 0:
                layer = loop.net.layer4[1].conv1.parametrizations.weight[0]
                starts.append(layer.gate.detach().clone())

    watch(monkeypatch, Start())
    for folder in "ab":
        task = task_with(tmp_path / folder, params={"start": [0.2, 0.3]}, epochs=1)
        base.load("intrain").prune(copy.deepcopy(net), task)
    assert torch.equal(*starts)
    assert 0.2 <= starts[0].min() < 0.201 and 0.299 < starts[0].max() <= 0.3


def test_a_closed_gate_comes_back_when_the_loss_wants_it(net):
    gates, budget, loop = budget_on(net, target=1.0)
    with torch.no_grad():
        gates[0].gate[1] = -0.05
    for _ in range(20):
        clear(gates)
        gates[0].gate.grad[1] = -1.0
        budget.after_step(loop)
    assert gates[0].open()[1] == 1


def test_training_starts_dense_and_ends_with_exactly_the_gates_of_largest_m(
    net, tmp_path, monkeypatch
):
    shares, last, fixed = [], {}, []

    class Watch(Hook):
        def gates(self, loop):
            layers = mk.prunable(loop.net, "channels")
            return {n: layer.parametrizations.weight[0] for n, layer in layers.items()}

        def before_step(self, loop):
            gates = self.gates(loop).values()
            shares.append(float(torch.cat([g.open().detach() for g in gates]).mean()))
            fixed.append(not any(g.gate.requires_grad for g in gates))

        def after_step(self, loop):
            if loop.step == 4:  # the gates are fixed before the next step
                last.update({n: g.gate.detach().clone() for n, g in self.gates(loop).items()})

    watch(monkeypatch, Watch())
    params = {"fix_at": 0.6, "reach": 1.5}
    masks = base.load("intrain").prune(net, task_with(tmp_path, "channels", 0.5, params))
    assert shares[0] == 1 and fixed == [False] * 4 + [True] * 2
    assert min(shares[:4]) < 1
    units = mk.rank(last, 0.5, scope="global", floor=1)
    kept, total = mk.count(units.values())
    assert shares[4:] == [pytest.approx(kept / total)] * 2
    assert kept == mk.kept_count(total, 0.5)
    for name, weight in mk.weights(net, "channels").items():
        assert torch.equal(masks[f"{name}.weight"].transpose(0, 1).flatten(1).any(1), units[name])
        assert torch.equal(weight.transpose(0, 1).flatten(1).any(1), units[name])
    assert set(masks) == {f"{n}.weight" for n in units}


def test_the_budget_is_the_share_that_shall_stay(net, tmp_path, monkeypatch):
    made = []

    class Spy(Budget):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(intrain, "Budget", Spy)
    base.load("intrain").prune(net, task_with(tmp_path, "channels", 0.7, epochs=1))
    assert made[0].target == pytest.approx(0.3)
    assert made[0].units == sum(w.shape[1] for w in mk.weights(net, "channels").values())


def test_crafting_takes_one_gradient(net, tmp_path):
    objective = task_with(tmp_path).objectives["train"]
    assert type(objective).__name__ == "Fgsm" and objective.random_start


@pytest.mark.parametrize("step", [2, 5, 8])
@pytest.mark.parametrize("structure", ["unstructured", "channels"])
def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch, structure, step):
    def prune(net, name):
        params = {"fix_at": 0.5, "reach": 1.5}
        task = task_with(tmp_path / name, structure, 0.5, params, epochs=3)
        return base.load("intrain").prune(net, task)

    check_resumes(monkeypatch, net, prune, at=step)
