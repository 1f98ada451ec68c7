"""docs/methods/pwoa.md, "What must hold"."""

import copy
import dataclasses
import statistics

import pytest
import torch

from advprune.methods import base
from advprune.models.registry import build
from advprune.pruning import masks as mk
from advprune.pruning.structures import named
from advprune.training.distill import Bottleneck, Distilled
from advprune.training.loop import Hook, Trainer
from helpers.methods import task_for
from helpers.small import SMALL, blobs
from helpers.training import KilledError
from helpers.watching import Kill, watch


def task_with(folder, structure="unstructured", sparsity=0.8, params=None, **recipe):
    task = task_for("pwoa", folder, structure, sparsity, **(params or {}))
    recipes = {p: dataclasses.replace(r, **recipe) for p, r in task.recipes.items()}
    return dataclasses.replace(task, recipes=recipes)


@pytest.fixture
def objectives(monkeypatch):
    """Objectives of the phases that are run, by phase."""
    used, fit = {}, Trainer.fit

    def spied(self, net, objective, recipe, phase, **options):
        used[phase] = objective
        return fit(self, net, objective, recipe, phase, **options)

    monkeypatch.setattr(Trainer, "fit", spied)
    return used


def test_no_adversarial_example_is_made(net, tmp_path, monkeypatch):
    """No phase asks for the gradient of an image; only the monitor of the loop attacks."""
    images = []

    class Images(Hook):
        def before_step(self, loop):
            if loop.step == 0:
                loop.net.register_forward_pre_hook(
                    lambda module, given: images.append((module.training, given[0].requires_grad))
                )

    watch(monkeypatch, Images())
    task = task_with(tmp_path)
    method = base.load("pwoa")
    masks = method.prune(net, task)
    method.finetune(net, masks, task)
    trained = [needs for training, needs in images if training]
    assert len(trained) >= 2 * 2 * 3 and not any(trained)
    assert set(task.objectives) == {"pretrain"}


def test_the_bottleneck_acts_in_finetuning_only_unless_asked_for(net, tmp_path, objectives):
    method = base.load("pwoa")
    masks = method.prune(net, task_with(tmp_path / "a", epochs=0))
    method.finetune(net, masks, task_with(tmp_path / "a", epochs=0))
    assert type(objectives["prune"]) is Distilled
    bottleneck = objectives["finetune"]
    assert type(bottleneck) is Bottleneck and type(bottleneck.base) is Distilled
    assert (bottleneck.inputs, bottleneck.labels, bottleneck.sigma) == (2e-5, 1e-4, 5)
    method.prune(net, task_with(tmp_path / "b", params={"hsic_in_admm": True}, epochs=0))
    assert type(objectives["prune"]) is Bottleneck


def test_the_distillation_is_the_authors_mean_over_batch_and_classes(tmp_path, rng):
    task = task_with(tmp_path)
    objective = base.load("pwoa").objective(task, bottleneck=False)
    student, x = copy.deepcopy(task.teacher).eval(), torch.rand(6, 1, 8, 8, generator=rng)
    with torch.no_grad():
        student.fc.weight.mul_(-2)
    p, q = ((net(x) / 30).softmax(1) for net in (task.teacher.eval(), student))
    expected = 10 * 900 * (p * (p / q).log()).mean()  # over all 6 x 3 entries
    loss = objective.loss(student, x, torch.zeros(6, dtype=torch.int64), rng)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    assert loss.item() > 0.01


def test_the_first_steps_loss_is_the_pull_alone_in_evaluation_mode(net, tmp_path, rng):
    """Student and teacher are the same net: distillation starts at zero, with zero gradient."""
    task = task_with(tmp_path)
    net.eval()
    objective = base.load("pwoa").objective(task, bottleneck=False)
    loss = objective.loss(net, torch.rand(5, 1, 8, 8, generator=rng), torch.arange(5) % 3, rng)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert all(p.grad.abs().max() < 1e-2 for p in net.parameters())


def test_the_teacher_is_bit_identical_throughout(net, tmp_path):
    task = task_with(tmp_path)
    before = {n: v.clone() for n, v in task.teacher.state_dict().items()}
    method = base.load("pwoa")
    method.finetune(net, method.prune(net, task), task)
    assert all(torch.equal(v, before[n]) for n, v in task.teacher.state_dict().items())
    assert not torch.equal(net.conv1.weight, before["conv1.weight"])


def test_rho_follows_the_published_schedule_and_stops_at_its_cap(net, tmp_path, monkeypatch):
    rhos, fit = [], Trainer.fit

    class Watch(Hook):
        def __init__(self, pull):
            self.pull = pull

        def after_step(self, loop):
            rhos.append(self.pull.rho)

    def watched(self, *args, **options):
        (pull,) = options["hooks"]
        options["hooks"] = [pull, Watch(pull)]
        return fit(self, *args, **options)

    monkeypatch.setattr(Trainer, "fit", watched)
    # 17 epochs of three batches: one cycle per epoch, as published one per three epochs
    task = task_with(tmp_path, params={"rho_cap": 0.5}, epochs=17)
    base.load("pwoa").prune(net, task)
    expected = [min(0.5, 0.01 * 1.35**k) for k in range(17)]
    assert rhos[::3] == pytest.approx(expected) and rhos[2::3] == pytest.approx(expected)


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_masks_are_the_projection_with_exact_counts(net, tmp_path, structure):
    task = task_with(tmp_path, structure, 0.9 if structure == "unstructured" else 0.5)
    masks = base.load("pwoa").prune(net, task)
    for name, weight in mk.weights(net, structure).items():
        norms = named(structure).norms(weight)
        alive = named(structure).occupied(masks[f"{name}.weight"])
        assert int(alive.sum()) == mk.kept_count(alive.numel(), task.sparsity)
        assert norms[alive].min() >= norms[~alive].max()


def test_filter_counts_of_the_page():
    assert [mk.kept_count(n, 0.9) for n in (64, 128, 256, 512)] == [7, 13, 26, 52]


def test_the_pull_brings_the_weights_closer_to_the_sparse_set(net, tmp_path):
    def residual(rho):
        task = task_with(
            tmp_path / f"{rho}",
            params={"rho": rho},
            epochs=12,
            schedule="constant",
            lr=0.1,
            momentum=0,
            cycles=3,
        )
        candidate = copy.deepcopy(net)
        masks = base.load("pwoa").prune(candidate, task)
        weights = mk.weights(candidate)
        lost = sum(float(w[~masks[f"{n}.weight"]].square().sum()) for n, w in weights.items())
        return lost / sum(float(w.square().sum()) for w in weights.values())

    assert residual(1.0) < 0.3 * residual(1e-9)


def test_distillation_teaches_without_labels(tmp_path):
    """Students come to answer as their teacher although labels have no weight at all."""
    x, ratios = blobs(40).images / 255, []
    for seed in (1, 2, 3):
        net = build(SMALL, torch.Generator().manual_seed(seed))
        no_hsic = {"lambda_x": 0.0, "lambda_y": 0.0}
        task = task_with(tmp_path / f"{seed}", params=no_hsic, epochs=10, lr=0.05)
        task = dataclasses.replace(task, teacher=copy.deepcopy(net))
        with torch.no_grad():
            net.fc.weight.neg_()

        def distance(net, teacher=task.teacher):
            with torch.no_grad():  # a copy, because a pass of training moves the statistics
                return float((copy.deepcopy(net).train()(x) - teacher.eval()(x)).square().mean())

        before = distance(net)
        everything = {f"{n}.weight": torch.ones_like(w).bool() for n, w in mk.weights(net).items()}
        base.load("pwoa").finetune(net, everything, task)
        ratios.append(distance(net) / before)
    assert statistics.median(ratios) < 0.7


@pytest.mark.parametrize(("step", "phase"), [(2, "prune"), (5, "prune"), (4, "finetune")])
def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch, step, phase):
    kill = Kill()
    watch(monkeypatch, kill)
    method = base.load("pwoa")

    def run(folder, start, killed=False):
        task = task_with(tmp_path / folder, epochs=3, cycles=4)
        kill.at = step if killed and phase == "prune" else -1
        masks = method.prune(start, task)
        kill.at = step if killed and phase == "finetune" else -1
        method.finetune(start, masks, task)
        return start

    whole = run("whole", copy.deepcopy(net))
    with pytest.raises(KilledError):
        run("killed", copy.deepcopy(net), killed=True)
    again = run("killed", copy.deepcopy(net)).state_dict()
    assert all(torch.equal(v, again[n]) for n, v in whole.state_dict().items())
