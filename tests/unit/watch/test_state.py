"""The state of jobs and models, from files as runs leave them."""

import itertools
import os
import shutil
import time

import pytest

from advprune.base.errors import UserError
from advprune.base.files import write_json
from advprune.watch.place import open_run
from advprune.watch.state import DONE, FAILED, RUNNING, WAITING
from advprune.watch.tasks import STEPS, chain, priorities
from helpers.run_samples import AT, Site

ERROR = f"{AT} ERROR   no luck\n"
CUT = f"{AT} INFO    prune on cpu\n"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_run_is_known_by_its_folder_alone(site):
    run = open_run(site.run.folder)
    assert run.protocol.models == site.models and run.logs == site.run.logs


def test_a_folder_without_a_plan_is_one_line(site, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        open_run(tmp_path / "nowhere")
    (site.run.folder / "configuration.yaml").unlink()
    with pytest.raises(UserError, match="--configfile"):
        open_run(site.run.folder)
    (site.run.folder / "configuration.yaml").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not valid YAML"):
        open_run(site.run.folder)


def test_of_a_run_that_has_not_begun_everything_waits(site):
    state = site.state()
    assert {row.state for row in state.rows} == {WAITING} == set(state.tasks.values())
    assert {row.step for row in state.rows} == {"dataset"} and not state.complete


def test_a_model_is_done_when_all_its_jobs_are(site):
    model = site.model("hydra")
    site.do_until(model)
    row = site.row(model)
    assert (row.state, row.step, row.evaluated) == (DONE, None, True)
    for model in site.models:
        site.do_until(model)
    assert site.state().complete


def test_an_evaluated_model_without_its_costs_is_not_done_and_has_its_row(site):
    model = site.model("hydra")
    site.do_until(model, "costs")
    assert (site.row(model).state, site.row(model).evaluated) == (WAITING, True)


@pytest.mark.parametrize("step", ["prune", "autoattack", "evaluate"])
def test_a_running_job_makes_its_model_run(step, site):
    model = site.model("hydra")
    site.do_until(model, step)
    site.journal(("start", site.task(model, step)))
    row = site.row(model)
    assert (row.state, row.step, row.evaluated) == (RUNNING, step, False)


def test_a_job_in_a_queue_waits_until_it_has_written_a_line(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    old = site.log(task, CUT)
    os.utime(old, (time.time() - 100,) * 2)  # of an earlier attempt
    site.journal(("start", task), queue=True)
    assert site.row(model).state == WAITING
    site.log(task, CUT)
    assert site.row(model).state == RUNNING


def test_without_signs_of_life_nothing_runs(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.log(task, CUT)
    site.journal(("start", task), pid=999999999)
    assert site.row(model).state == WAITING


@pytest.mark.parametrize("journal", [True, False])
def test_a_failed_job_fails_its_model_with_reason_and_log(journal, site):
    model = site.model("hydra")
    site.do_until(model, "finetune")
    task = site.task(model, "finetune")
    if journal:
        site.journal(("start", task), ("failed", task), ended="failed", ago=1)
    site.log(task, ERROR)
    row = site.row(model)
    assert (row.state, row.step, row.evaluated) == (FAILED, "finetune", False)
    assert str(row.failure) == f"finetune: no luck ({task.log})"


def test_a_job_that_was_killed_is_known_from_the_journal(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.log(task, CUT)
    assert site.row(model).state == WAITING
    site.journal(("start", task), ("failed", task), ended="failed", ago=1)
    assert "killed or out of memory, last line: prune on cpu" in str(site.row(model).failure)


def test_a_failed_pretraining_fails_every_model_that_starts_from_it(site):
    task = site.task(site.model("lwm"), "pretrain")
    site.log(task, ERROR)
    users = {m for m in site.models if task in chain(site.run, m)}
    assert {row.model for row in site.state().rows if row.state == FAILED} == users
    assert len(users) > 1 and len(site.state().failures()) == 1


def test_what_an_earlier_start_gave_up_waits_while_a_run_goes_on(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.log(task, ERROR)
    site.journal(("start", task), ("failed", task), ended="failed", ago=100)
    assert site.row(model).state == FAILED
    site.journal()
    assert site.row(model).state == WAITING


def test_a_job_that_has_succeeded_since_is_done(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.journal(("start", task), ("failed", task), ended="failed", ago=1)
    site.do_until(model)
    assert site.row(model).state == DONE


@pytest.mark.parametrize("text", [CUT, f"{AT} WARNING terminated from outside; finished …\n"])
def test_what_somebody_interrupted_has_not_failed(text, site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.log(task, text)
    assert site.row(model).state == WAITING
    site.journal(("start", task), ("failed", task), ended="interrupted")
    assert site.row(model).state == WAITING


def test_what_ran_out_of_time_at_its_last_attempt_has(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.journal(("start", task), ("failed", task), ended="failed", ago=1)
    site.log(task, f"{AT} WARNING terminated from outside; finished …\n")
    assert "terminated from outside: a time limit" in str(site.row(model).failure)


def test_what_failed_by_itself_shortly_before_has(site):
    model = site.model("hydra")
    task = site.task(model, "prune")
    site.log(task, ERROR)
    site.journal(("start", task), ("failed", task), ended="interrupted")
    assert site.row(model).state == FAILED


@pytest.mark.parametrize(("text", "culprit"), [(ERROR, "hofmn"), (CUT, "reliability")])
def test_of_a_failed_group_the_member_failed_that_says_so_or_wrote_last(text, culprit, site):
    model = site.model("hydra")
    site.do_until(model, "hofmn_tune")
    group = [site.task(model, s) for s in ("hofmn_tune", "hofmn", "reliability", "evaluate")]
    events = [(what, task) for what in ("start", "gave up") for task in group]
    site.journal(*events, ("group", group), ended="failed", ago=3)
    for age, (task, words) in enumerate(zip(group, (CUT, text, CUT), strict=False)):
        log = site.log(task, words)
        os.utime(log, (time.time() - 2 + age / 2,) * 2)
    row = site.row(model)
    assert (row.state, row.failure.task.script) == (FAILED, culprit)
    assert [t.script for t, s in site.state().tasks.items() if s == FAILED] == [culprit]


def test_an_attempt_that_was_never_submitted_leaves_the_reason_of_the_one_before(site):
    """A cluster refuses a second attempt that asks for more memory than any of its machines has."""
    model = site.model("hydra")
    site.do_until(model, "hofmn_tune")
    group = [site.task(model, s) for s in ("evaluate", "hofmn_tune", "hofmn")]
    again = [(what, task) for what in ("start", "gave up") for task in group]
    site.journal(*again, ("group", group), *again, ("group", group), ended="failed", ago=60)
    for task in group[1:]:
        os.utime(site.log(task, CUT), (time.time() - 50,) * 2)
    os.utime(site.run.path(group[2].log), (time.time() - 40,) * 2)
    assert str(site.row(model).failure).startswith("hofmn: killed or out of memory, last line: ")


def test_an_evaluation_of_another_net_is_not_the_models(site):
    model = site.model("hydra")
    site.do_until(model)
    net = site.task(model, "finetune").card
    write_json(site.run.path(net), {"sha256": "trained since"})
    assert not site.row(model).evaluated


def test_numbers_from_before_a_failed_job_are_not_the_models(site):
    model = site.model("hydra")
    site.do_until(model)
    task = site.task(model, "finetune")
    for name in task.files:
        site.run.path(name).unlink()
    site.journal(("start", task), ("failed", task), ended="failed", ago=1)
    site.log(task, ERROR)
    assert (site.row(model).state, site.row(model).evaluated) == (FAILED, False)


def test_files_that_are_no_longer_needed_are_not_missed(site):
    for model in site.models:
        site.do_until(model)
        for name in site.task(model, "prune").files:
            site.run.path(name).unlink()
    shutil.rmtree(site.run.folder / "digits/resnet18/pretrained")
    (site.run.folder / "digits/train.safetensors").unlink()
    assert site.state().complete


def test_every_job_of_a_model_comes_before_every_job_of_a_later_one(site):
    """And of its own, those that are nearer to its row."""
    base = priorities(site.models)
    steps = [[base[m] + STEPS.index(t.script) for t in chain(site.run, m)] for m in site.models]
    assert all(own == sorted(own) for own in steps)
    assert all(min(own) > max(later) for own, later in itertools.pairwise(steps))
    assert min(steps[-1]) > 0  # the priority of what several models share
