"""The estimate: a pilot whose times are known functions of its work."""

import copy

import pytest

from advprune.base.errors import UserError
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from advprune.watch import estimate
from advprune.watch.place import Run
from advprune.watch.tasks import chains
from advprune.watch.work import work
from helpers.checkout import tiny_config
from helpers.run_samples import Site

START, RATE = 2.0, 1e-9  # seconds, seconds per unit of work


def run_of(config):
    protocol = Protocol(load_config(copy.deepcopy(config)))
    return Run("results", "logs", protocol)


def jobs(run):
    return {task: model for model, tasks in chains(run).items() for task in tasks}


@pytest.fixture
def pilot(tmp_path):
    """Every job took its start and a time that is proportional to its work."""
    site = Site(tmp_path)
    for task, model in jobs(site.run).items():
        site.took(task, START + RATE * work(site.run, task, model))
    return site


def predicted(config, pilot):
    steps = estimate.predict(run_of(config), estimate.measure(pilot.run))
    return {step.step: step for step in steps}


def test_of_itself_a_pilot_says_what_it_took(pilot):
    steps = predicted(tiny_config(), pilot)
    for name, step in steps.items():
        own = [(t, m) for t, m in jobs(pilot.run).items() if t.script == name]
        took = sum(START + RATE * work(pilot.run, t, m) for t, m in own)
        assert step.seconds == pytest.approx(took, rel=1e-6) and step.jobs == len(own)


@pytest.mark.parametrize(
    ("path", "value", "steps", "factor"),
    [
        (("budget", "epochs"), 12, ("pretrain", "finetune"), 2),
        (("datasets", "digits", "limits", "train"), 128, ("pretrain", "finetune"), 2),
        (("evaluation", "hofmn", "steps"), 15, ("hofmn",), 3),
        (("evaluation", "hofmn", "trials"), 4, ("hofmn_tune",), 2),
        (("datasets", "digits", "limits", "test"), 12, ("autoattack", "hofmn", "pgd"), 1.2),
        (("archs", "resnet18", "width"), 8, ("autoattack", "finetune"), 3.9),
    ],
)
def test_work_grows_with_epochs_images_steps_and_multiplications(path, value, steps, factor, pilot):
    config = tiny_config()
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    before, after = (predicted(c, pilot) for c in (tiny_config(), config))
    for step in steps:
        spent = [s[step].seconds - START * s[step].jobs for s in (before, after)]
        assert spent[1] / spent[0] == pytest.approx(factor, rel=0.02)
    assert after["audit"].seconds == before["audit"].seconds


def test_the_inner_attack_and_the_loss_count(pilot):
    config = tiny_config()
    config["datasets"]["digits"]["training_attack"]["steps"] = 5
    runs = [run_of(tiny_config()), run_of(config)]
    totals = []
    for run in runs:
        task, model = next((t, m) for t, m in jobs(run).items() if t.script == "pretrain")
        totals.append(work(run, task, model))
    # TRADES sees clean images too; PGD of one step passes 5 times, of five steps 13 times
    assert totals[1] / totals[0] in (pytest.approx(13 / 5), pytest.approx(16 / 8))


def test_steps_without_a_pilot_are_unknown_and_not_counted_as_nothing(pilot):
    for task in jobs(pilot.run):
        if task.script == "autoattack":
            pilot.run.path(task.benchmark).unlink()
    steps = predicted(tiny_config(), pilot)
    assert steps["autoattack"].seconds is None and steps["hofmn"].seconds is not None


def test_a_pilot_without_times_is_one_line(tmp_path):
    with pytest.raises(UserError, match="nothing to go by"):
        estimate.measure(Site(tmp_path).run)


def test_no_number_of_cores_shortens_the_longest_chain(pilot):
    rates = estimate.measure(pilot.run)
    run = run_of(tiny_config())
    longest = estimate.longest(run, rates)
    assert 6 * START < longest < sum(step.seconds for step in estimate.predict(run, rates))


@pytest.mark.parametrize(
    ("rate", "epochs", "rough"), [(0, 24, True), (1, 24, True), (1, 6, False), (2, 24, False)]
)
def test_steps_whose_pilot_took_hardly_more_than_a_start_are_called_rough(
    pilot, rate, epochs, rough
):
    """Four times the epochs of a pilot that shows nothing of what an epoch takes."""
    for task in jobs(pilot.run):
        trained = task.script == "finetune"
        pilot.took(task, START + rate * START * 2 * trained)
    config = tiny_config()
    config["budget"]["epochs"] = epochs
    assert predicted(config, pilot)["finetune"].rough is rough
