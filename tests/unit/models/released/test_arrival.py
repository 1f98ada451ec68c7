"""What arrived is of the method and net that were announced, whole, and the file of before."""

import pytest
import torch

from advprune.models.released.arrival import match
from advprune.models.released.kinds import NotAvailableError, whole
from advprune.plan.specs import CheckNetSpec
from helpers.foreign import Code
from helpers.released import synthetic

NET = {"arch": "resnet18", "width": 4, "classes": 10, "channels": 3, "size": 32}
MAX = {"arch": "vgg16", "final_pool": "max", "hidden": ()}


def arrived(path, method="hydra", **net):
    return match(whole(path), method, CheckNetSpec(**NET | net), 0.9)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "net.pt"
    synthetic("hydra-resnet18", path, 16)
    return path


def test_a_method_s_file_is_taken(file):
    assert arrived(file).layout == "hydra-resnet18"


def test_names_that_two_methods_share_are_the_asked_one_s(file):
    assert arrived(file, "harp").method == "harp"


@pytest.mark.parametrize(
    ("method", "net", "words"),
    [
        ("mad", {}, "is not of layout mad but of "),
        ("hydra", {"width": 64}, "another net than announced: .*width 4.*width 64"),
        ("hydra", {"arch": "vgg16"}, "another net than announced: .*arch resnet18"),
    ],
)
def test_another_method_or_net_is_refused_in_one_line(file, method, net, words):
    with pytest.raises(NotAvailableError, match=words) as error:
        arrived(file, method, **net)
    assert "\n" not in str(error.value) and str(file) not in str(error.value)


@pytest.mark.parametrize(
    ("layout", "name", "net", "words"),
    [
        ("robustbird-vgg16-authors", "normalize.mean", MAX, "normalize.mean is not the config"),
        (
            "li20-vgg16",
            "model.0.0.weight",
            {"arch": "vgg16", "final_pool": "mean", "hidden": (32,)},
            "feature.0.weight and model.0.0.weight should be one tensor, but differ",
        ),
    ],
)
def test_what_a_file_s_numbers_contradict_is_a_reason_too(layout, name, net, words, tmp_path):
    def change(state):
        state[name] = state[name] + 1

    synthetic(layout, tmp_path / "net.pt", 16, change=change)
    with pytest.raises(NotAvailableError, match=words) as error:
        arrived(tmp_path / "net.pt", layout.split("-")[0], **net)
    assert str(tmp_path) not in str(error.value)


def test_a_file_that_would_run_code_is_refused_unread(tmp_path, capsys):
    torch.save({"state_dict": {"fc.weight": torch.ones(2)}, "best": Code()}, tmp_path / "net.pt")
    with pytest.raises(NotAvailableError, match=r"would run code of builtins\.print"):
        whole(tmp_path / "net.pt")
    assert "never be printed" not in capsys.readouterr().out


@pytest.mark.parametrize("lost", [40, 100_000])
def test_a_file_of_the_old_format_that_lacks_its_end_is_not_whole(tmp_path, file, lost):
    # written by this test a moment ago, with NumPy's scalars as its authors keep them
    state, path = torch.load(file, weights_only=False), tmp_path / "old.pt"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert arrived(path).layout == "hydra-resnet18"
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(NotAvailableError, match=r"damaged .*its end is missing"):
        whole(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no checkpoint but empty"),
        (b"\x1f\x8b" + bytes(90), "no checkpoint but a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no checkpoint but a git-lfs pointer"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(NotAvailableError, match=words):
        whole(tmp_path / "net.pt")
