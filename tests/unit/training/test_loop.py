import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.admm import Admm
from advprune.pruning.masked import KeepMasked
from advprune.training.loop import Hook, Loop
from advprune.training.monitor import accuracy, robust_accuracy
from advprune.training.objective import make
from advprune.training.recipes import multiplier
from helpers.small import blobs
from helpers.training import RECIPE, THREAT, KillAt, KilledError, trainer
from helpers.watching import check_fit_resumes


def halved(weights):
    return {n: mk.top_k(w.abs(), w.numel() // 2) for n, w in weights.items()}


def state_of(net, history):
    return [t.clone() for t in net.state_dict().values()], history


def run(net, folder, *extra, objective="pgd", **options):
    hooks = [Admm(net, "unstructured", halved, rho=0.1, growth=1.3, cycles=3), *extra]
    history = trainer(folder, **options).fit(
        net, make({"name": objective}, THREAT), RECIPE, "p", hooks
    )
    return state_of(net, history)


@pytest.mark.parametrize("step", [1, 4, 7, 11])
def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, step):
    fresh = {k: v.clone() for k, v in net.state_dict().items()}

    def begun(folder, kill):
        net.load_state_dict(fresh)
        return run(net, folder, KillAt(kill))

    check_fit_resumes(begun, tmp_path, step)


def test_another_job_does_not_take_up_the_state(net, tmp_path):
    fresh = {k: v.clone() for k, v in net.state_dict().items()}
    run(net, tmp_path, seed=8)
    net.load_state_dict(fresh)
    changed, _ = run(net, tmp_path, fingerprint="b", seed=9)
    net.load_state_dict(fresh)
    expected, _ = run(net, tmp_path / "clean", seed=9)
    assert all(torch.equal(a, b) for a, b in zip(changed, expected, strict=True))


def test_a_damaged_state_starts_over(net, tmp_path):
    fresh = {k: v.clone() for k, v in net.state_dict().items()}
    expected, _ = run(net, tmp_path / "whole")
    (tmp_path / "p.pt").write_bytes(b"half a file")
    net.load_state_dict(fresh)
    found, _ = run(net, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_training_learns_and_the_adversarial_one_is_robust(net, tmp_path):
    recipe = Recipe(epochs=20, batch=16, lr=0.1, schedule="onecycle")
    trainer(tmp_path, images=90).fit(net, make({"name": "pgd"}, THREAT), recipe, "p")
    test = blobs(60, 2)
    assert accuracy(net, test) > 0.95
    assert robust_accuracy(net, test, THREAT, torch.Generator().manual_seed(0)) > 0.8


def test_masked_training_keeps_exact_zeros_against_momentum_and_decay(net, tmp_path):
    optimizers = []

    class Watch(Hook):
        def after_step(self, loop):
            optimizers.append(loop.optimizer)
            assert mk.violations(loop.net, masks) == []
            for name, value in loop.net.named_parameters():
                if name in masks:
                    momentum = loop.optimizer.state[value]["momentum_buffer"]
                    assert not momentum[~masks[name]].any()
                    assert momentum[masks[name]].any()

    masks = mk.weight_masks(net, mk.rank(mk.magnitudes(net, "filters"), 0.5), "filters")
    assert any(name.startswith("bn") for name in masks)
    mk.apply(net, masks)
    before = net.conv1.weight.detach().clone()
    trainer(tmp_path).fit(
        net, make({"name": "pgd"}, THREAT), RECIPE, "p", [KeepMasked(masks), Watch()]
    )
    assert len(optimizers) == 12
    kept = masks["conv1.weight"]
    assert not torch.equal(net.conv1.weight[kept], before[kept])


def test_only_the_given_parameters_move_and_statistics_follow(net, tmp_path):
    net.fc.requires_grad_(False)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    chosen = [p for p in net.parameters() if p.requires_grad]
    trainer(tmp_path).fit(net, make({"name": "natural"}, THREAT), RECIPE, "p", parameters=chosen)
    after = net.state_dict()
    assert torch.equal(after["fc.weight"], before["fc.weight"])
    assert not torch.equal(after["conv1.weight"], before["conv1.weight"])
    assert not torch.equal(after["bn1.running_mean"], before["bn1.running_mean"])


def test_a_last_batch_of_one_image_is_dropped(tmp_path):
    assert trainer(tmp_path, images=33).steps_per_epoch(RECIPE) == 2
    assert trainer(tmp_path, images=34).steps_per_epoch(RECIPE) == 3


def test_learning_rates_at_landmarks():
    def at(time, **recipe):
        return multiplier(Recipe(epochs=1, **recipe), time)

    assert at(0.0) == 1 and at(0.5) == pytest.approx(0.5) and at(1.0) == pytest.approx(0)
    steps = {"schedule": "multistep", "milestones": (0.4, 0.75)}
    assert [at(t, **steps) for t in (0.39, 0.4, 0.8)] == [1, 0.1, pytest.approx(0.01)]
    # Li20's warm-up over the first tenth: 0.1, 0.2, …, 1 of the peak at epochs 0…9 of 100
    warm = {"schedule": "multistep", "warmup": 0.1}
    assert at(0.0, **warm) == pytest.approx(0.1) and at(0.05, **warm) == pytest.approx(0.55)
    # and on ResNet18 from half of the peak
    half = warm | {"warmup_from": 0.5}
    assert [at(t, **half) for t in (0.0, 0.05, 0.1)] == pytest.approx([0.5, 0.75, 1])
    # R-ADMM's cycles: epochs 0, 7, 14 and 20 of T = 20 (docs/methods/radmm.md)
    thirds = [at(e / 200, schedule="thirds", cycles=10) for e in (0, 7, 14, 20)]
    assert thirds == [1, pytest.approx(0.1), pytest.approx(0.01), 1]
    cycle = [at(t, schedule="onecycle", peak=0.25) for t in (0.125, 0.25, 0.625)]
    assert cycle == pytest.approx([0.5, 1.0, 0.5])


def test_a_loss_that_is_not_finite_does_not_stop_the_run(net, tmp_path):
    class Spoil(Hook):
        def penalty(self, loop):
            return math.inf

    history = trainer(tmp_path).fit(net, make({"name": "natural"}, THREAT), RECIPE, "p", [Spoil()])
    assert len(history) == 4 and not math.isfinite(history[-1]["loss"])


def test_a_hook_can_stop_a_phase_and_it_stays_stopped(net, tmp_path):
    class StopAfter(Hook):
        def after_epoch(self, loop, record):
            loop.stop = loop.epoch == 1

    objective = make({"name": "natural"}, THREAT)
    history = trainer(tmp_path).fit(net, objective, RECIPE, "p", [StopAfter()])
    found = [v.clone() for v in net.state_dict().values()]
    again = trainer(tmp_path).fit(net, objective, RECIPE, "p", [StopAfter()])
    assert len(history) == 2 and again == history
    assert all(torch.equal(a, b) for a, b in zip(found, net.state_dict().values(), strict=True))


@given(steps=st.integers(1, 500), times=st.integers(0, 200), last=st.booleans())
def test_updates_come_evenly_and_the_last_one_at_the_end_only_if_it_is_asked_for(
    steps, times, last
):
    loop = Loop(None, None, epochs=1, steps=steps)
    due = [dataclasses.replace(loop, step=step).due(times, last) for step in range(steps + 1)]
    assert due[0] == 0 and due[-1] == times and due == sorted(due)
    if times == 0:
        return
    parts = times if last else times + 1
    for n in range(1, times + 1):  # with the first step at or after its share
        first = -(-n * steps // parts)
        assert due[first - 1] < n <= due[first]
    if steps >= parts:
        assert (due[-2] == times) != last


def test_an_update_whose_share_is_a_whole_step_comes_with_that_step():
    """Of 141 parts of 47 steps every third ends with a step; in floats the seventh came late."""
    loop = Loop(None, None, epochs=1, steps=47)
    for loop.step in range(47):
        assert loop.due(140) == 3 * loop.step
    assert any(math.floor(step / 47 * 141) != 3 * step for step in range(47))


class Counting(Hook):
    """Counts steps, and keeps the figures of its epochs."""

    state = ("steps", "losses")

    def __init__(self):
        self.steps, self.losses, self.seen = 0, [], 0

    def after_step(self, loop):
        self.steps += 1
        self.seen += 1

    def after_epoch(self, loop, record):
        self.losses.append(record["loss"])


def test_the_state_that_a_hook_names_is_there_again(net, tmp_path):
    """What it does not name starts anew; a subclass adds to the names."""
    objective, counted, again = make({"name": "natural"}, THREAT), Counting(), Counting()
    with pytest.raises(KilledError):
        trainer(tmp_path).fit(net, objective, RECIPE, "p", [counted, KillAt(7)])
    trainer(tmp_path).fit(net, objective, RECIPE, "p", [again, KillAt(-1)])
    assert again.steps == 12 and again.seen == 6  # two of four epochs were done
    assert again.losses[:2] == counted.losses and len(again.losses) == 4
    assert Hook().state_dict() == {}

    class More(Counting):
        state = (*Counting.state, "seen")

    assert More().state_dict() == {"steps": 0, "losses": [], "seen": 0}


def test_adam_is_there_for_those_who_ask(net, tmp_path):
    """Adam's first step is the learning rate whatever the size of the gradient."""
    before = net.fc.weight.detach().clone()
    recipe = Recipe(1, batch=40, lr=1e-3, weight_decay=0, schedule="constant", optimizer="adam")
    trainer(tmp_path).fit(net, make({"name": "natural"}, THREAT), recipe, "p")
    assert torch.allclose((net.fc.weight - before).abs(), torch.tensor(1e-3), rtol=1e-2)
