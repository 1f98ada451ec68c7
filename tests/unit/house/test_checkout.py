"""What tests take from the repository they lie in."""

import shutil
import subprocess

import pytest

from helpers import checkout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a method, and a user's own method and results beside it."""
    folder = tmp_path / "their own"
    for name in ("config/methods/lwm.yaml", "scripts/prune.py"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("tracked: true\n", encoding="utf-8")
    monkeypatch.setattr(checkout, "ROOT", folder)
    checkout.tracked.cache_clear()
    yield folder
    checkout.tracked.cache_clear()


def own_files(folder):
    (folder / "config/methods/mine.yaml").write_text("tracked: false\n", encoding="utf-8")
    (folder / "scripts/__pycache__").mkdir()
    (folder / "scripts/__pycache__/prune.pyc").write_bytes(b"")


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_copy_has_no_file_of_the_users_own(repository, tmp_path):
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    subprocess.run(["git", "-C", repository, "add", "."], check=True)
    own_files(repository)
    copy = checkout.Checkout(tmp_path / "copy", {}).folder
    assert names(copy) == ["config/methods/lwm.yaml", "scripts/prune.py", "tiny.yaml"]
    assert checkout.shipped_methods() == ["lwm"]


def test_without_git_a_copy_has_everything_but_caches(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    own_files(repository)
    copy = checkout.Checkout(tmp_path / "copy", {}).folder
    expected = ["config/methods/lwm.yaml", "config/methods/mine.yaml", "scripts/prune.py"]
    assert names(copy) == [*expected, "tiny.yaml"]
