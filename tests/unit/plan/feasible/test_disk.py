"""What a run writes is estimated before it begins, and held against what is free."""

import pytest

from advprune.base.errors import UserError
from advprune.plan.feasible.disk import GIB, Estimate, check, estimate
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
