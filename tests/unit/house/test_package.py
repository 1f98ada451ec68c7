"""The library as a package: what it needs, and that its wheel holds all of it."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from helpers.checkout import ROOT

LIBRARY = ROOT / "scripts" / "advprune"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(
    re.findall(
        r"^(\S+)==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), flags=re.M
    )
)
DISTRIBUTION = {"adv_lib": "adv-lib", "imagecorruptions": "imagecorruptions-imaug"}
DISTRIBUTION |= {"jinja2": "Jinja2", "sklearn": "scikit-learn", "yaml": "PyYAML"}
DISTRIBUTION |= {"vl_convert": "vl-convert-python"}
# what an import needs besides, without asking for it itself
BESIDES = {"numba", "opencv-python-headless"}


def declared():
    """Distribution → lower bound, extras included; the workflow and tests are not the library."""
    others = ("workflow", "browser_tests")
    extras = {k: v for k, v in PROJECT["optional-dependencies"].items() if k not in others}
    lines = [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]
    return dict(line.split(">=") for line in lines)


def imported():
    """Distributions whose modules the library imports."""
    names = set()
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return {DISTRIBUTION.get(n, n) for n in names - sys.stdlib_module_names - {"advprune"}}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names of the files of the wheel, built without network from what git would hand over."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--wheel-dir", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("advprune-*.whl")
    with zipfile.ZipFile(built) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_library_and_none_of_the_scripts(wheel):
    ours = {
        str(path.relative_to(LIBRARY.parent))
        for path in LIBRARY.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if ".dist-info/" not in name} == ours
    assert any(name.endswith(".j2") for name in ours)


def test_the_wheel_brings_the_command(wheel):
    (entry,) = (wheel[name].decode() for name in wheel if name.endswith("entry_points.txt"))
    assert "advprune = advprune.cli.main:main" in entry


def test_what_the_library_imports_is_asked_for_and_nothing_else():
    assert set(declared()) == imported() | BESIDES


@pytest.mark.parametrize("name", sorted(declared()))
def test_a_lower_bound_is_not_above_the_tested_version(name):
    bound, tested = (
        tuple(map(int, text.split(".")[:2])) for text in (declared()[name], PINS[name])
    )
    assert bound <= tested
