"""What a run writes is estimated before it begins, and held against what is free."""

from types import SimpleNamespace

import pytest

from advprune.base.errors import UserError
from advprune.plan.config import load_config
from advprune.plan.feasible.check import check_disk
from advprune.plan.feasible.disk import GIB, Estimate, check, estimate
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol
from helpers.checkout import tiny_config
from helpers.configs import planned

NEEDED = Estimate(whole=10 * GIB, least=3 * GIB)


def test_a_run_that_fits_is_not_spoken_of():
    assert check(NEEDED, there=0, free=10 * GIB) == ""
    assert check(NEEDED, there=9 * GIB, free=GIB) == ""


def test_a_short_disk_is_warned_of_with_figures():
    warning = check(NEEDED, there=GIB, free=5 * GIB)
    assert warning == (
        "this run takes about 10.0 GiB on disk; 5.0 GiB are free, and 1.0 GiB of it are there"
    )


def test_a_hopeless_one_is_refused():
    with pytest.raises(UserError, match=r"nets of this run alone take about 3\.0 GiB; 1\.0 GiB"):
        check(NEEDED, there=GIB, free=GIB)


def test_more_seeds_and_wider_nets_take_more():
    one = estimate(planned("seeds", [0]))
    assert estimate(planned("seeds", [0, 1, 2])).least == 3 * one.least
    width = planned("seeds", [0]).config["archs"]["resnet18"]["width"]
    assert estimate(planned("archs.resnet18.width", 2 * width)).least > 3.5 * one.least
    assert one.least < one.whole


def test_a_disk_that_is_far_too_small_is_refused_but_warned_of_where_nothing_will_run(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1000))
    protocol = Protocol(load_config(tiny_config()))
    with pytest.raises(UserError, match="nets of this run alone"):
        check_disk(protocol, Layout("tiny"), dry=False)
    assert capsys.readouterr().err == ""
    check_disk(protocol, Layout("tiny"), dry=True)
    assert capsys.readouterr().err.startswith("warning: disk: the nets of this run alone")
