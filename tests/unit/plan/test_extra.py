"""Extra images in a configuration: what is refused before any job, and which jobs they concern."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest

from advprune.base.errors import UserError
from advprune.base.record import to_dict
from advprune.plan import extra
from advprune.plan.config import ROOT, load_config
from advprune.plan.protocol import Protocol
from helpers.checkout import tiny_config
from helpers.extra import write


def config(**entry):
    changed = copy.deepcopy(tiny_config())
    changed["datasets"]["digits"]["extra"] = entry
    return changed


def test_half_of_a_batch_unless_another_share_is_asked_for():
    assert extra.ratio(config(path="a.npz"), "digits") == 0.5
    assert extra.ratio(config(path="a.npz", ratio=0.7), "digits") == 0.7
    assert extra.ratio(tiny_config(), "digits") == 0
    assert extra.path(tiny_config(), "digits") is None
    assert extra.path(config(path="./data/../a.npz"), "digits") == "a.npz"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "datasets.digits.extra: 'path' is a required property"),
        ({"path": ""}, "datasets.digits.extra.path"),
        ({"path": "a.npz", "ratio": 0}, "0 is less than or equal to the minimum of 0"),
        ({"path": "a.npz", "ratio": 1}, "1 is greater than or equal to the maximum of 1"),
        ({"path": "a.npz", "share": 0.5}, "'share' was unexpected"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(entry, message):
    with pytest.raises(UserError) as error:
        load_config(config(**entry))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "lacks 'image'"),
        ({"label": np.arange(20)}, "labels 0..19 are outside 0..9"),
        ({"image": np.zeros((20, 32, 32, 3), np.uint8)}, "image is uint8 [20, 32, 32, 3], not"),
    ],
)
def test_a_file_of_something_else_is_refused_with_its_place(tmp_path, changes, message):
    path = write(tmp_path / "more.npz", **changes)
    with pytest.raises(UserError) as error:
        extra.check_files(config(path=str(path)))
    assert str(error.value).startswith(f"config: datasets.digits.extra.path: {path}: {message}")


def test_braces_in_a_path_are_one_line_of_ours(tmp_path):
    path = write(tmp_path / "more{1}.npz")
    with pytest.raises(UserError, match=r"extra.path: .*more\{1\}.npz: braces are"):
        extra.check_files(config(path=str(path)))


def test_a_file_that_fits_passes_and_no_extra_needs_no_file(tmp_path):
    extra.check_files(config(path=str(write(tmp_path / "more.npz"))))
    extra.check_files(tiny_config())


def specifications(content):
    """What every job that trains is asked to do."""
    protocol = Protocol(load_config(content))
    jobs = []
    for model in protocol.models:
        place = (model.dataset, model.arch, model.method)
        if protocol.pretrain_name(*place):
            jobs.append(protocol.pretrain(*place, model.seed))
        jobs += [protocol.prune(model), protocol.finetune(model)]
    return [to_dict(job) for job in jobs]


def test_the_share_is_part_of_every_training_and_nothing_is_where_there_is_none():
    plain, mixed = specifications(tiny_config()), specifications(config(path="a.npz", ratio=0.3))
    assert not any("extra" in job for job in plain)
    assert [job | {"extra": 0.3} for job in plain] == mixed


def test_files_are_checked_without_torch():
    code = "import sys; from advprune.plan import extra; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
