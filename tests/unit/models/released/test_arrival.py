"""What arrived is of the method and net that were announced, whole, and the file of before."""

import pytest
import torch

from advprune.models.released.arrival import match
from advprune.models.released.kinds import NotAvailableError, check_kind
from helpers.foreign import Code
from helpers.released import synthetic

NET = {"arch": "resnet18", "width": 8, "classes": 10, "channels": 3, "size": 32}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "net.pt"
    synthetic("hydra-resnet18", path)
    return path


def test_a_method_s_file_is_taken(file):
    check_kind(file)
    assert match(file, "hydra", NET).layout == "hydra-resnet18"


def test_names_that_two_methods_share_are_the_asked_one_s(file):
    assert match(file, "harp", NET).method == "harp"


@pytest.mark.parametrize(
    ("method", "net", "words"),
    [
        ("mad", {}, "is not of layout mad but of "),
        ("hydra", {"width": 64}, "another net than announced: .*width 8.*width 64"),
        ("hydra", {"arch": "vgg16"}, "another net than announced: .*arch resnet18"),
    ],
)
def test_another_method_or_net_is_refused_in_one_line(file, method, net, words):
    with pytest.raises(NotAvailableError, match=words) as error:
        match(file, method, NET | net)
    assert "\n" not in str(error.value) and str(file) not in str(error.value)


def test_a_file_that_would_run_code_is_refused_unread(tmp_path, capsys):
    torch.save({"state_dict": {"fc.weight": torch.ones(2)}, "best": Code()}, tmp_path / "net.pt")
    with pytest.raises(NotAvailableError, match=r"would run code of builtins\.print"):
        match(tmp_path / "net.pt", "hydra", NET)
    assert "never be printed" not in capsys.readouterr().out


def test_a_file_of_the_old_format_that_lacks_its_end_is_cut_off(tmp_path, file):
    state, path = torch.load(file, weights_only=False), tmp_path / "old.pt"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert match(path, "hydra", NET).layout == "hydra-resnet18"
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    with pytest.raises(NotAvailableError, match=r"cut off: it has .* bytes, and its tensors alone"):
        match(path, "hydra", NET)


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
        check_kind(tmp_path / "net.pt")
