"""Which epoch of a phase is taken. Nets whose accuracy per epoch is written into them by a hook."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from advprune.models.plain import plain_state
from advprune.plan.specs import Recipe
from advprune.pruning.parametrization import attach, remove
from advprune.pruning.reparam import Product
from advprune.training.epochs import End, collapse
from advprune.training.loop import Hook
from advprune.training.objective import make, single_step
from helpers.training import RECIPE, THREAT, KillAt, KilledError, trainer

STILL = Recipe(epochs=4, batch=20, lr=0.0, schedule="constant")


class Templates(nn.Module):
    """Finds the square of an image in one of its places; `level` of the three classes exist.

    What belongs to none of them is a fourth class.
    """

    def __init__(self):
        super().__init__()
        places = torch.zeros(3, 1, 8, 8)
        for c in range(3):
            places[c, 0, 2 * c : 2 * c + 3, 2 * c : 2 * c + 3] = 1
        self.weight = nn.Parameter(places.flatten(1))
        self.register_buffer("level", torch.tensor(3))
        self.register_buffer("epoch", torch.tensor(0))

    def forward(self, x):
        absent = torch.arange(3) >= self.level
        found = (x.flatten(1) @ self.weight.T).masked_fill(absent, -1e4)
        return torch.cat([found, found.new_full((len(x), 1), -1e3)], 1)


class Levels(Hook):
    """Sets the net's level after every epoch, so that `val_pgd` is a third of it."""

    def __init__(self, *levels, settled=()):
        self.levels, self.when = levels, settled

    def after_epoch(self, loop, record):
        loop.net.level.fill_(self.levels[loop.epoch])
        loop.net.epoch.fill_(loop.epoch + 1)

    def settled(self, loop):
        return loop.epoch in self.when if self.when else True


def run(folder, *levels, objective="pgd", keep="best", settled=(), extra=()):
    net, loop = Templates(), trainer(folder)
    hooks = [Levels(*levels, settled=settled), *extra]
    objective = make({"name": objective}, THREAT)
    history = loop.fit(net, objective, STILL, "p", hooks, keep=keep)
    found = [record["val_pgd"] for record in history]
    assert found == [pytest.approx(level / 3) for level in levels[: len(found)]]
    return net, loop, len(history)


def test_the_first_of_the_most_robust_epochs_is_taken_and_the_last_is_kept(tmp_path):
    net, loop, _ = run(tmp_path, 1, 3, 3, 2)
    end = loop.ends["p"]
    assert (int(net.epoch), int(net.level)) == (2, 3)
    assert (end.epochs, end.taken, end.val_pgd) == (4, 2, 1.0)
    assert end.val_pgd_last == pytest.approx(2 / 3)
    assert (int(end.last["epoch"]), int(end.last["level"])) == (4, 2)


def test_without_a_better_epoch_there_is_no_other_net(tmp_path):
    net, loop, _ = run(tmp_path, 1, 2, 2, 3)
    assert int(net.epoch) == 4 and loop.ends["p"] == End(4, 4, 1.0, 1.0, "best")


def test_where_no_epoch_is_robust_the_last_is_taken_and_none_that_guesses(tmp_path):
    """A level of 1 is chance: as a net at the start of natural training, which ends at 0."""
    net, loop, _ = run(tmp_path, 1, 1, 0, 0)
    assert int(net.epoch) == 4 and loop.ends["p"] == End(4, 4, 0.0, 0.0, "best")


def test_the_last_is_taken_where_nobody_asks_for_the_best(tmp_path):
    net, loop, _ = run(tmp_path, 1, 3, 3, 2, keep="last")
    assert int(net.epoch) == 4 and loop.ends["p"].taken == 4 and loop.ends["p"].last is None


def test_a_wish_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown keep 'first'"):
        run(tmp_path, 1, 1, 1, 1, keep="first")


@pytest.mark.parametrize(
    ("settled", "taken"), [((2, 3), 3), ((1, 3), 2), ((3,), 4), ((9,), 4), ((0, 1, 2, 3), 1)]
)
def test_only_epochs_that_began_with_final_masks_are_eligible(tmp_path, settled, taken):
    """None is better than one before it; where none is eligible the last is taken."""
    net, loop, _ = run(tmp_path, 3, 2, 2, 2, settled=settled)
    assert int(net.epoch) == taken == loop.ends["p"].taken


def test_all_hooks_must_be_settled(tmp_path):
    net, _, _ = run(tmp_path, 3, 2, 2, 0, settled=(1, 2), extra=[Unsettled(1)])
    assert int(net.epoch) == 3


class Unsettled(Hook):
    def __init__(self, epoch):
        self.epoch = epoch

    def settled(self, loop):
        return loop.epoch != self.epoch


# collapse

MARK = "single-step training collapsed in epoch 3: PGD on validation 1.00 → 0.33"


@pytest.mark.parametrize("keep", ["best", "last"])
def test_single_step_training_that_collapses_ends_with_its_best_epoch(tmp_path, keep):
    net, loop, epochs = run(tmp_path, 2, 3, 1, 3, objective="fgsm", keep=keep)
    assert epochs == 3 and int(net.epoch) == 2 and loop.ends["p"].taken == 2
    assert loop.marks == [MARK]
    assert (loop.ends["p"].last is None) == (keep == "last")  # of a search nobody wants it


@pytest.mark.parametrize("keep", ["best", "last"])
def test_other_training_goes_on_and_is_not_marked(tmp_path, keep):
    _, loop, epochs = run(tmp_path, 2, 3, 1, 3, objective="pgd", keep=keep)
    assert epochs == 4 and loop.marks == []


@pytest.mark.parametrize("levels", [(2, 3, 2, 3), (1, 0, 1, 0), (0, 0, 0, 0)])
def test_a_small_fall_or_one_from_chance_is_no_collapse(tmp_path, levels):
    """Half of three is more than one and less than two; twice chance is two."""
    _, loop, epochs = run(tmp_path, *levels, objective="fgsm")
    assert epochs == 4 and loop.marks == []


def test_without_an_epoch_to_go_back_to_it_is_only_marked(tmp_path):
    net, loop, epochs = run(tmp_path, 2, 3, 1, 2, objective="fgsm", settled=(9,))
    assert epochs == 4 and int(net.epoch) == 4 and loop.marks == [MARK]


def test_the_mark_names_the_first_collapse():
    def history(*accuracies):
        return [{"epoch": n, "val_pgd": a} for n, a in enumerate(accuracies, 1)]

    assert collapse(history(0.2, 0.41, 0.2, 0.4, 0.1), 0.1).endswith(
        "epoch 3: PGD on validation 0.41 → 0.20"
    )
    assert collapse(history(0.2, 0.4, 0.2), 0.1) is None  # not below half
    assert collapse(history(0.19, 0.0), 0.1) is None and collapse([], 0.1) is None


@pytest.mark.parametrize(
    ("levels", "settled", "marked"),
    [
        ((2, 3, 1, 1), (3,), False),  # the cut came in the third epoch, and took two thirds
        ((2, 3, 1, 3), (3,), False),
        ((3, 3, 1, 1), (4,), True),  # before the cut, which comes in the fourth
        ((1, 3, 1, 1), (2, 3), True),  # after the cut, which came in the second
    ],
)
@pytest.mark.parametrize("kill", [-1, 3, 5, 7])
def test_a_fall_across_the_cut_is_no_collapse(tmp_path, levels, settled, marked, kill):
    options = {"objective": "fgsm", "settled": settled}
    if kill > 0:
        with pytest.raises(KilledError):
            run(tmp_path, *levels, extra=[KillAt(kill)], **options)
    _, loop, epochs = run(tmp_path, *levels, extra=[KillAt(-1)], **options)
    assert epochs == 4 and loop.marks == ([MARK] if marked else [])


def test_objectives_say_whether_their_attack_is_a_single_step():
    fast = {"name": "fgsm", "random_start": True}
    assert single_step(make({"name": "fgsm"}, THREAT)) and single_step(make(fast, THREAT))
    for name in ("pgd", "trades", "mart", "natural", "mixed"):
        assert not single_step(make({"name": name}, THREAT))


# resuming


@pytest.mark.parametrize("step", [3, 5, 7])
@pytest.mark.parametrize(("objective", "levels"), [("pgd", (1, 3, 2, 2)), ("fgsm", (2, 3, 1, 3))])
def test_a_killed_run_takes_the_same_epoch_with_the_same_marks(tmp_path, step, objective, levels):
    whole, expected, _ = run(tmp_path / "whole", *levels, objective=objective)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", *levels, objective=objective, extra=[KillAt(min(step, 5))])
    for _ in range(2):  # the second time the phase is over already
        net, loop, _ = run(tmp_path / "killed", *levels, objective=objective, extra=[KillAt(-1)])
        assert int(net.epoch) == int(whole.epoch) == 2
        assert loop.marks == expected.marks
        same_end(loop.ends["p"], expected.ends["p"])


def same_end(found, expected):
    assert dataclasses.replace(found, last=None) == dataclasses.replace(expected, last=None)
    assert (found.last is None) == (expected.last is None)
    for name, tensor in (expected.last or {}).items():
        assert torch.equal(found.last[name], tensor), name


class Spoil(Hook):
    """Ruins a trained net's last layer for good at the start of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_step(self, loop):
        if loop.epoch >= self.epoch:
            nn.init.zeros_(loop.net.fc.weight)
            nn.init.zeros_(loop.net.fc.bias)


@pytest.mark.parametrize("step", [7, 10, 12])
def test_a_real_net_is_killed_and_resumed_to_the_same_bits_best_and_last(net, tmp_path, step):
    fresh = copy.deepcopy(net.state_dict())
    objective = make({"name": "pgd"}, THREAT)

    def train(folder, *extra):
        net.load_state_dict(fresh)
        loop = trainer(folder)
        loop.fit(net, objective, RECIPE, "p", [Spoil(2), *extra], keep="best")
        return copy.deepcopy(net.state_dict()), loop.ends["p"]

    best, end = train(tmp_path / "whole")
    with pytest.raises(KilledError):
        train(tmp_path / "killed", KillAt(step))
    again, resumed = train(tmp_path / "killed", KillAt(-1))
    assert all(torch.equal(again[name], best[name]) for name in best)
    same_end(resumed, end)


# tensors under plain names


def test_the_plain_tensors_are_those_that_removing_the_parts_leaves(net):
    rng = torch.Generator().manual_seed(5)
    attach(net, "unstructured", lambda _, w: Product(torch.rand(w.shape, generator=rng)))
    found = plain_state(net)
    kept = {name: tensor.clone() for name, tensor in found.items()}
    remove(net, effective=True)
    expected = net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    assert all(torch.equal(found[name], kept[name]) for name in kept)  # they are copies
