"""A net is found out before it is trained, and what is wrong with it is one line."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.base.structures import STRUCTURES
from advprune.data.specs import known, spec_of
from advprune.evaluation import net_check
from advprune.evaluation.net_check import check_net
from advprune.models.normalize import Normalize
from advprune.models.registry import NetSpec
from helpers.nets import NETS

SPEC = NetSpec("strange", 4, 5, 3, 8, (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
@pytest.mark.parametrize("dataset", known())
def test_every_net_here_passes_in_every_structure_for_every_dataset(net_fields, dataset):
    channels, size, _ = spec_of(dataset).shape
    images = {"channels": channels, "size": size}
    moments = {"mean": (0.5,) * channels, "std": (0.25,) * channels}
    spec = NetSpec(width=4, classes=10, **images, **moments, **net_fields)
    outcome = check_net(spec, STRUCTURES)
    assert outcome["structures"] == list(STRUCTURES) and outcome["compact"] is True
    assert outcome["net"] == spec.to_dict() and outcome["parameters"] > 0 and outcome["macs"] > 0


class Plain(nn.Module):
    """A net without a fault; the strange ones differ in one method."""

    def __init__(self, normalize):
        super().__init__()
        self.normalize = normalize
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)

    def act(self, x):
        return F.relu(x)

    def maps(self, x):
        out = self.act(self.bn1(self.conv1(x)))
        return out + self.conv2(out)

    def forward(self, x):
        return self.fc(self.act(self.maps(self.normalize(x))).mean((2, 3)))


class Smooth(Plain):
    def act(self, x):
        return torch.sigmoid(x)


class Chooses(Plain):
    def act(self, x):
        return F.relu(x) if x.sum() > 0 else x


class Wrong(Plain):
    def forward(self, x):
        return self.maps(self.normalize(x))


class Forgets(Plain):
    def maps(self, x):
        return self.act(self.bn1(self.conv1(x)))


class Twice(Plain):
    def maps(self, x):
        return self.conv2(self.conv2(self.act(self.bn1(self.conv1(x)))))


class Raw(Plain):
    def forward(self, x):
        return self.fc(self.act(self.maps(x)).mean((2, 3)))


class Idle(Plain):
    def __init__(self, normalize):
        super().__init__(normalize)
        self.extra = nn.Parameter(torch.ones(3))


class Pools(Plain):
    """The second convolution, 3×3, sees a map of one pixel."""

    def __init__(self, normalize):
        super().__init__(normalize)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)

    def maps(self, x):
        return self.conv2(F.avg_pool2d(self.act(self.bn1(self.conv1(x))), 8))


class Crashes(Plain):
    def forward(self, x):
        raise KeyError("no such layer\nsecond line")


@pytest.fixture
def strange(monkeypatch):
    """Let `build` make a net of a class."""

    def use(kind):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = kind(Normalize(SPEC.mean, SPEC.std))
        monkeypatch.setattr(net_check, "build", lambda spec: net)

    return use


def test_a_net_of_another_build_passes_with_a_bias_that_is_only_added(strange):
    strange(Plain)
    assert check_net(SPEC, STRUCTURES)["compact"] is True


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Chooses, "torch.fx cannot trace it"),
        (Wrong, r"its logits are \[4, 8, 8, 8\], not \[4, 5\]"),
        (Forgets, "layer conv2 is called 0 times, not once"),
        (Twice, "layer conv2 is called 2 times, not once"),
        (Raw, "its images must go through `normalize` first"),
        (Idle, "the loss does not depend on extra"),
        (Pools, "512 of 576 weights of conv2 never act on images of 8 pixels"),
        (Crashes, "KeyError: 'no such layer"),
    ],
)
def test_what_does_not_hold_is_one_line(strange, kind, message):
    strange(kind)
    with pytest.raises(UserError, match=f"net strange: .*{message}") as error:
        check_net(SPEC, STRUCTURES)
    assert "\n" not in str(error.value)


def test_a_net_that_cannot_be_made_compact_is_warned_of(strange, caplog, monkeypatch):
    monkeypatch.setattr(net_check.log, "propagate", True)
    strange(Smooth)
    assert check_net(SPEC, STRUCTURES)["compact"] is False
    assert "attacks will be several times slower" in caplog.text and "sigmoid" in caplog.text


def test_a_structure_that_the_audit_does_not_find_again_is_named(strange, monkeypatch):
    strange(Plain)
    monkeypatch.setattr(net_check.mk, "apply", lambda net, masks: None)
    with pytest.raises(UserError, match=r"90% of its unstructured masked, but sparsity is 0\.0000"):
        check_net(SPEC, STRUCTURES)


def test_a_compact_copy_with_other_logits_is_named(strange, monkeypatch):
    strange(Plain)
    monkeypatch.setattr(net_check, "compact", lambda net, image: Plain(net.normalize).eval())
    with pytest.raises(UserError, match="masked: the compact net's logits are off by"):
        check_net(SPEC, ["filters"])


def test_structures_without_units_are_left_out(strange):
    class Pointwise(Plain):
        def __init__(self, normalize):
            super().__init__(normalize)
            self.conv2 = nn.Conv2d(8, 8, 1)

    strange(Pointwise)
    assert check_net(SPEC, STRUCTURES)["structures"] == ["unstructured", "filters", "channels"]


def test_the_outcome_does_not_depend_on_the_global_state():
    spec = replace(SPEC, arch="resnet18")
    torch.manual_seed(1)
    first = check_net(spec, STRUCTURES)
    torch.manual_seed(2)
    assert check_net(spec, STRUCTURES) == first
