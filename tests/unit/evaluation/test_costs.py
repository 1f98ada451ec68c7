"""Costs: counts of the compact net, latency, and the table that the page reads."""

import math
import time
from collections import OrderedDict

import pandas as pd
import pytest
import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.evaluation import costs
from advprune.evaluation.costs import count_compact, latency
from advprune.models.graph import macs
from advprune.models.normalize import Normalize
from advprune.models.registry import build
from advprune.report import costs as report
from advprune.report.records import IDENTITY
from advprune.report.tables import write_csv
from helpers.report_samples import cost
from helpers.small import SMALL


def chain():
    """5 filters on 4×4, then 3 on 4×4, then the mean and 2 classes."""
    layers = {
        "normalize": Normalize((0.5,), (0.25,)),
        "conv": nn.Conv2d(1, 5, 3, padding=1, bias=False),
        "norm": nn.BatchNorm2d(5),
        "relu": nn.ReLU(),
        "conv2": nn.Conv2d(5, 3, 3, padding=1, bias=False),
        "norm2": nn.BatchNorm2d(3),
        "relu2": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(3, 2),
    }
    return nn.Sequential(OrderedDict(layers)).eval()


def test_a_compact_net_is_counted_layer_by_layer():
    net = chain()
    with torch.no_grad():
        net.conv.weight[:2] = net.norm.weight[:2] = net.norm.bias[:2] = 0
        net.conv2.weight[1] = net.norm2.weight[1] = net.norm2.bias[1] = 0
    counts = count_compact(net, (1, 4, 4))
    assert counts["params"] == (1 * 3 * 9 + 3) + (3 * 2 * 9 + 2) + (2 * 2 + 2)
    assert counts["macs"] == 16 * (1 * 3 * 9) + 16 * (3 * 2 * 9) + 2 * 2


def test_of_a_dense_net_only_batchnorm_goes():
    net = build(SMALL).eval()
    counts = count_compact(net, (1, 8, 8))
    norms = sum(m.num_features for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    assert counts["macs"] == sum(macs(net, (1, 8, 8)).values())
    # a scale and a shift become one bias
    assert counts["params"] == sum(p.numel() for p in net.parameters()) - norms


def test_single_zeros_remove_nothing():
    net = chain()
    before = count_compact(net, (1, 4, 4))
    with torch.no_grad():
        net.conv2.weight[0, 0, 0] = 0
    assert count_compact(net, (1, 4, 4)) == before


def test_a_net_that_is_attacked_as_it_is_has_no_compact_counts():
    net = chain()
    net.relu = nn.Sigmoid()
    assert count_compact(net, (1, 4, 4)) is None
    net = chain()
    net.fc.bias.data[0] = math.nan
    assert count_compact(net, (1, 4, 4)) is None


class Clock:
    """Time that passes only where a net runs."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def net(self, name, seconds):
        waits = iter(seconds)

        def slow(x):
            self.calls.append(name)
            self.now += next(waits)

        return slow


def test_latency_is_the_median_and_the_fastest_of_repeats_in_turn(monkeypatch):
    clock = Clock(monkeypatch)
    nets = {  # the first time of each prepares
        "a": clock.net("a", [9.0, 3.0, 1.0, 2.0, 5.0, 4.0]),
        "b": clock.net("b", [9.0, 0.1, 0.1, 0.1, 0.1, 0.2]),
    }
    found = latency(nets, torch.zeros(1, 1, 2, 2))
    assert clock.calls == ["a", "b"] * 6
    assert found["repeats"] == costs.FEWEST == 5
    assert found["a"] == pytest.approx({"median": 3000, "fastest": 1000})
    assert found["b"] == pytest.approx({"median": 100, "fastest": 100})


@pytest.mark.parametrize(("seconds", "repeats"), [(1e-6, costs.MOST), (costs.SECONDS / 20, 20)])
def test_quick_nets_run_until_the_time_is_up(monkeypatch, seconds, repeats):
    clock = Clock(monkeypatch)
    nets = {name: clock.net(name, [seconds] * 1000) for name in "ab"}
    assert latency(nets, torch.zeros(1, 1, 2, 2))["repeats"] == pytest.approx(repeats, abs=1)


def test_the_table_comes_back_as_it_was_written(tmp_path):
    rows = [cost(sparsity=0.1 + 0.2), cost(1, name="external"), cost(2, compact_macs=None)]
    write_csv(report.table(rows), tmp_path / "costs.csv")
    found = report.load(tmp_path / "costs.csv")
    *key, _ = (rows[0][name] for name in IDENTITY)
    assert found[*key, 0]["compact_macs"] == 1000 and found[*key, 0]["one_compact_ms"] == 12.5
    assert [pd.isna(row["compact_macs"]) for row in found.values()] == [False, False, True]
    lines = (tmp_path / "costs.csv").read_text(encoding="utf-8")
    assert ",1000," in lines and "1000.0" not in lines


@pytest.mark.parametrize("content", ["", "method,seed\nlwm,0\n", None])
def test_another_file_is_a_user_error(tmp_path, content):
    if content is not None:
        (tmp_path / "costs.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"costs\.csv: not a table of costs"):
        report.load(tmp_path / "costs.csv")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.18968, "0.190 ms"), (1.5, "1.50 ms"), (123.4, "123 ms"), (math.nan, "–")],
)
def test_milliseconds(value, text):
    assert report.milliseconds(value) == text


def test_places_are_named_once():
    rows = [cost(), cost(1), cost(2, threads=2)]
    assert report.measured_on(rows) == ["x86_64, 1 thread", "x86_64, 2 threads"]
