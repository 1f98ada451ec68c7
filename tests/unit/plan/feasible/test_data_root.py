"""What is wrong with `data_root` is said in its own words, before any job."""

import hashlib
from dataclasses import replace

import pytest
from torchvision import datasets

from advprune.base.errors import UserError
from advprune.data.sets import cifar10, svhn
from advprune.data.specs import known, spec_of
from advprune.plan.config import load_config
from advprune.plan.feasible.data_root import check, check_folder
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol
from helpers.configs import changed, planned


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def here(tmp_path):
    """A small stand-in for CIFAR-10's official files, and what is known of it."""
    files = tuple((name, md5(name.encode())) for name, _ in cifar10.FILES)
    for name, _ in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path, replace(cifar10.SPEC, files=files)


def nothing(root):
    return root / "nowhere"


def a_file(root):
    (root / "file").touch()
    return root / "file"


def inner(root):
    return root / "cifar-10-batches-py"


def renamed_inner(root):
    return inner(root).rename(root / "images")


def empty(root):
    (root / "empty").mkdir()
    return root / "empty"


def one_missing(root):
    (inner(root) / "test_batch").unlink()
    return root


def cut(root):
    (inner(root) / "data_batch_3").write_bytes(b"cut")
    return root


def page(root):
    (inner(root) / "data_batch_2").write_bytes(b"<html>login</html>")
    return root


def pointer(root):
    (inner(root) / "batches.meta").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    return root


def folder(root):
    (inner(root) / "test_batch").unlink()
    (inner(root) / "test_batch").mkdir()
    return root


def twice_down(root):
    (root / "a").mkdir()
    inner(root).rename(root / "a" / "cifar-10-batches-py")
    return root


def packed(root):
    inner(root).rename(root.parent / "elsewhere")
    (root / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b")
    return root


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nothing, "no such folder"),
        (a_file, "is a file, not a folder"),
        (inner, "is the inner folder of cifar10; name the folder above it"),
        (renamed_inner, "is the inner folder"),
        (empty, "holds nothing, and nothing of cifar10: no cifar-10-batches-py/data_batch_1"),
        (twice_down, "holds a, and nothing of cifar10"),
        (packed, "holds cifar-10-python.tar.gz, and nothing of cifar10"),
        (lambda root: root / "a\nb", "a b: no such folder"),
        (one_missing, "lacks cifar-10-batches-py/test_batch"),
        (cut, r"data_batch_3 is not the official one: .*3 bytes, MD5 \w+ instead of"),
        (page, "data_batch_2 is not the official one: a web page"),
        (pointer, "batches.meta is not the official one: a git-lfs pointer"),
        (folder, "test_batch is not the official one: it is a folder"),
    ],
)
def test_each_cause_has_its_own_words(here, spoil, message):
    root, spec = here
    check_folder(root, spec)
    with pytest.raises(UserError, match=f"config: data_root: .*{message}") as error:
        check_folder(spoil(root), spec)
    assert "\n" not in str(error.value)


def test_official_files_are_those_that_torchvision_checks():
    for name, source in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        meta = (source.meta["filename"], source.meta["md5"])
        listed = [*source.train_list, *source.test_list, meta]
        theirs = [(f"{source.base_folder}/{file}", sum_) for file, sum_ in listed]
        assert list(spec_of(name).files) == theirs
    parts = (datasets.SVHN.split_list[part] for part in ("train", "test"))
    assert list(svhn.FILES) == [(file, sum_) for _, file, sum_ in parts]
    assert [name for name in known() if not spec_of(name).files] == ["digits"]


def test_a_dataset_whose_images_were_read_needs_no_folder_any_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = changed("data_root", str(tmp_path / "nowhere"))
    entry = config["datasets"].pop("digits")
    config["datasets"] = {"cifar10": entry}
    config["grid"][0]["datasets"] = ["cifar10"]
    protocol, paths = Protocol(load_config(config)), Layout("demo")
    with pytest.raises(UserError, match="no such folder"):
        check(protocol, paths)
    for part in ("train", "test"):
        (tmp_path / paths.data(part).format(dataset="cifar10")).parent.mkdir(
            parents=True, exist_ok=True
        )
        (tmp_path / paths.data(part).format(dataset="cifar10")).touch()
    check(protocol, paths)


def test_a_home_and_variables_are_written_out_or_refused(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("IMAGES", "/images")
    home, images = "/home/me/data", "/images"
    for given, meant in (("~/data", home), ("${IMAGES}", images), ("$IMAGES", images)):
        assert planned("data_root", given).config["data_root"] == meant
    for given, message in (("$NO/x", r"\$NO is not set"), ("~no-such-user/x", "no such user")):
        with pytest.raises(UserError, match=f"config: data_root: .*{message}"):
            planned("data_root", given)
