"""What meets a stranger first: make, continuous integration, hooks, templates of issues."""

import re

import pytest
import yaml

from helpers.checkout import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.M))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def content(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_makefile_lists_its_targets_on_top():
    head = MAKEFILE.split("PYTHON ?=")[0]
    assert set(re.findall(r"\b[a-z0-9]+(?:-[a-z]+)?\b", head.split("(")[0])) - {"make"} == TARGETS
    assert set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.M)[1].split()) == TARGETS


def test_continuous_integration_does_what_a_checkout_does():
    (job,) = content(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": "bash .ci/run"}
    calls = set(
        re.findall(r"make ([a-z0-9-]+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    )
    assert {"lint", "test"} <= calls <= TARGETS


def test_the_hooks_are_the_tools_of_the_environment():
    (repository,) = content(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    pins = re.findall(
        r"^(\S+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), flags=re.M
    )
    for hook in repository["hooks"]:
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/") and program.rsplit("/")[-1] in pins
        assert program.removeprefix(".venv") in MAKEFILE.replace("$(BIN)", "/bin")


def test_the_hook_for_rules_sees_the_snakefile_and_every_rule():
    (hook,) = (h for h in content(".pre-commit-config.yaml")["repos"][0]["hooks"] if "files" in h)
    files = [ROOT / "workflow" / "Snakefile", *(ROOT / "rules").glob("*")]
    assert all(re.search(hook["files"], str(path.relative_to(ROOT))) for path in files)


def test_the_catalogue_finds_what_it_asks_for():
    usage = content(".snakemake-workflow-catalog.yml")["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert (ROOT / "workflow" / "Snakefile").exists() and (ROOT / "config" / "README.md").exists()


def test_there_is_a_template_for_every_kind_of_issue():
    names = {content(path.relative_to(ROOT))["name"] for path in TEMPLATES}
    assert names == {"A method", "A checkpoint", "A number that differs"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_is_one(path):
    """Fields have what GitHub asks of their kind, and every field has a name of its own."""
    template = content(path.relative_to(ROOT))
    assert set(template) == {"name", "description", "labels", "body"}
    assert len({field["id"] for field in template["body"]}) == len(template["body"])
    for field in template["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert ("options" in field["attributes"]) == (field["type"] in {"dropdown", "checkboxes"})
