"""The conda environments: exact, equal to the requirements, as small as their steps need."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from advprune.base import imports
from helpers.checkout import ROOT, tracked

FILES = tracked("envs")
NAMES = [path.stem for path in FILES]
# what is imported under another name than it is installed
INDIRECT = {
    "other_attacks": {"numba"},  # for an attack of foolbox, which does not ask for it
    "train": {"numpy"},  # cards say its version
}
PACKAGE = {"sklearn": "scikit-learn", "yaml": "PyYAML", "jinja2": "Jinja2"}
PACKAGE |= {"vl_convert": "vl-convert-python"}
PACKAGE |= {"cv2": "opencv-python", "imagecorruptions": "imagecorruptions-imaug"}
# The library with windows, which needs the system's libGL, and the one without. The requirements,
# installed as they are, have the latter; imagecorruptions asks pip for the former.
TWIN = {"opencv-python": "opencv-python-headless"}


def content(name):
    return yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))


def pins(name):
    """Package → version of an environment's pip section."""
    return dict(item.split("==") for item in content(name)["dependencies"][-1]["pip"])


def rules():
    """(rule, its environment, its script)."""
    for path in tracked("rules"):
        text = path.read_text(encoding="utf-8")
        for body in re.split(r"^(?:rule|checkpoint) ", text, flags=re.M)[1:]:
            environment = re.findall(r"conda:\n\s+environment\(\"(\w+)\"\)", body)
            yield body.split(":", 1)[0], environment, re.search(r'run\w*\("(\w+)"\)', body)[1]


def third_party(script):
    """Packages that a script imports, itself, through the library or through what it is named."""
    by_name = {"pretrain": ("training.objectives",), "dataset": ("data.sets",)}
    by_name |= dict.fromkeys(("prune", "finetune"), ("training.objectives", "methods"))
    modules = [f"{p}.{m}" for p in by_name.get(script, ()) for m in imports.modules_in(p)]
    files = {imports.SCRIPTS / f"{script}.py", *imports.code_files(script, *modules)}
    names = set()
    for node in (n for f in files for n in ast.walk(ast.parse(f.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return {PACKAGE.get(n, n) for n in names - sys.stdlib_module_names - {"advprune"}}


def test_every_rule_names_one_environment_and_every_environment_is_used():
    used = {rule: environment for rule, environment, _ in rules()}
    assert all(len(environment) == 1 for environment in used.values()), used
    assert {environment[0] for environment in used.values()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_is_exact(name):
    """Python's patch release is left to conda, as it is left to the system for `.venv`."""
    environment = content(name)
    assert set(environment) == {"channels", "dependencies"}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = environment["dependencies"]
    assert python == "python =3.11"
    assert re.fullmatch(r"pip =\d+\.\d+", pip)
    assert list(section) == ["pip"]
    for item in section["pip"]:
        assert re.fullmatch(r"[A-Za-z0-9_-]+==\d+(\.\d+)+(\.post\d+)?", item), item


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_has_what_the_requirements_and_this_python_have(name):
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    complete = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for package, version in pins(name).items():
        package = TWIN.get(package, package)
        assert complete[package] == version
        assert importlib.metadata.version(package).split("+")[0] == version


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_holds_what_its_scripts_import_and_nothing_else(name):
    needed = set().union(*(third_party(script) for _, env, script in rules() if env == [name]))
    assert set(pins(name)) == needed | INDIRECT.get(name, set())


def test_the_pages_are_made_without_torch():
    assert "torch" not in pins("report")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_environment_can_be_resolved(name, tmp_path):
    """By metadata alone, so that nothing is downloaded."""
    uv = shutil.which("uv", path=str(ROOT / ".venv" / "bin")) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    file = tmp_path / "pins.txt"

    def resolve(text):
        file.write_text(text, encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--python-version", "3.11", file]
        return subprocess.run(command, capture_output=True, text=True)

    if resolve("tqdm==4.70.1\n").returncode:
        pytest.skip("no package registry at hand")
    done = resolve("".join(f"{k}=={v}\n" for k, v in pins(name).items()))
    assert not done.returncode, done.stderr
