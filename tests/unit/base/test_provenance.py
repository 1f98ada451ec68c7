"""What a process says of the code and the machine that it runs on."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from advprune.base import provenance
from advprune.base.provenance import code_state, features, processor

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout two folders below a place where another repository may be; not yet one itself."""
    root = tmp_path / "outer" / "my checkout"
    module = root / "scripts/advprune/base/provenance.py"
    module.parent.mkdir(parents=True)
    module.write_text("", encoding="utf-8")
    monkeypatch.setattr(provenance, "__file__", str(module))
    return root


def commit(folder):
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "--allow-empty", "-m", "one")
    return git(folder, "rev-parse", "HEAD")


@needs_git
def test_a_checkout_knows_its_commit_and_tracked_changes(checkout):
    assert code_state() == (None, None)
    made = commit(checkout)
    assert code_state() == (made, False)
    (checkout / "scripts/advprune/base/provenance.py").write_text("changed", encoding="utf-8")
    assert code_state() == (made, True)


@needs_git
def test_what_is_staged_is_a_change_and_what_a_user_puts_beside_is_none(checkout):
    made = commit(checkout)
    (checkout / "my net.pt").write_bytes(b"weights")
    (checkout / "config").mkdir()
    (checkout / "config/mine.yaml").write_text("preset: mine", encoding="utf-8")
    assert code_state() == (made, False)
    git(checkout, "add", "config")
    assert code_state() == (made, True)


@needs_git
@pytest.mark.parametrize("tracked", [False, True])
def test_a_repository_around_the_checkout_is_not_asked(checkout, tracked):
    if tracked:
        commit(checkout.parent)
    else:
        git(checkout.parent, "init")
        git(checkout.parent, "commit", "--allow-empty", "-m", "theirs")
    assert code_state() == (None, None)


@needs_git
def test_a_worktree_and_a_checkout_behind_a_link_know_their_commit(checkout, monkeypatch):
    made = commit(checkout)
    git(checkout, "worktree", "add", "../second")
    for place in (checkout.parent / "second", checkout.parent / "link"):
        if place.name == "link":
            place.symlink_to(checkout)
        module = place / "scripts/advprune/base/provenance.py"
        monkeypatch.setattr(provenance, "__file__", str(module))
        assert code_state() == (made, False)


@needs_git
def test_variables_of_another_repository_lead_nowhere_else(checkout, tmp_path, monkeypatch):
    """As they are set while a hook of that repository runs."""
    other = tmp_path / "other"
    other.mkdir()
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert code_state() == (None, None)


def test_without_git_nothing_is_known(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert code_state() == (None, None)


CPUINFO = {
    "processor\t: 0\nmodel name\t: Some  CPU @ 2GHz\nflags\t\t: sse avx2 avx512f amx_tile\n"
    "\nprocessor\t: 1\n": "Some CPU @ 2GHz (avx2, avx512, amx)",
    "model name\t: Old CPU\nflags\t\t: sse sse2 avx\n": "Old CPU",
    "processor : 0\nFeatures : fp asimd sve\n": f"{platform.machine()} (neon, sve)",
    "": platform.machine(),
}


@pytest.mark.parametrize("text", CPUINFO)
def test_a_processor_is_its_model_and_its_widest_instruction_sets(monkeypatch, text):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert processor() == CPUINFO[text]


def test_the_features_are_those_that_decide_how_fast_nets_are(monkeypatch):
    flags = "flags : fpu amx_tile avx512_bf16 sse amx_bf16 avx2 fma"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: flags)
    assert features() == ["amx_bf16", "amx_tile", "avx2", "avx512_bf16", "fma"]
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    assert features() == []


def test_a_system_that_does_not_tell_is_known_by_its_architecture(monkeypatch):
    monkeypatch.setattr(provenance, "Path", lambda _: Path("/nowhere/at/all"))
    assert processor() == platform.machine()
