import math

import pytest
import torch

from advprune import masks as mk
from advprune.data.batches import Augment
from advprune.errors import UserError
from advprune.objectives import Threat, make
from advprune.recipes import Recipe, multiplier
from advprune.sparse import Admm, KeepMasked
from advprune.training import Hook, Trainer, accuracy, robust_accuracy
from small import blobs

THREAT = Threat(eps=0.1, step=0.05, steps=2)
RECIPE = Recipe(epochs=4, batch=16, lr=0.05, weight_decay=1e-3)


def trainer(folder, fingerprint="a", seed=3, images=40):
    return Trainer(blobs(images), blobs(12, 1), Augment(1, True), THREAT, seed, folder, fingerprint)


class KilledError(Exception):
    """Stands for the end of the process."""


class KillAt(Hook):
    def __init__(self, step):
        self.step = step

    def after_step(self, loop):
        if loop.step == self.step:
            raise KilledError


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
    whole, history = run(net, tmp_path / "whole")
    net.load_state_dict(fresh)
    with pytest.raises(KilledError):
        run(net, tmp_path / "killed", KillAt(step))
    net.load_state_dict(fresh)
    again, resumed = run(net, tmp_path / "killed", KillAt(-1))
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    assert history == resumed and len(history) == RECIPE.epochs


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
    # R-ADMM's cycles: epochs 0, 7, 14 and 20 of T = 20 (method card radmm, section 4)
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


def test_adam_is_there_for_those_who_ask(net, tmp_path):
    """Adam's first step is the learning rate whatever the size of the gradient."""
    before = net.fc.weight.detach().clone()
    recipe = Recipe(1, batch=40, lr=1e-3, weight_decay=0, schedule="constant", optimizer="adam")
    trainer(tmp_path).fit(net, make({"name": "natural"}, THREAT), recipe, "p")
    assert torch.allclose((net.fc.weight - before).abs(), torch.tensor(1e-3), rtol=1e-2)
    with pytest.raises(UserError, match="unknown optimizer 'lion'"):
        Recipe.from_dict({"epochs": 1, "optimizer": "lion"})
