"""The configuration that a run leaves beside its results plans the same run again."""

import copy

import pytest
import yaml

from advprune.plan.config import load_config, read_yaml, save_config
from helpers.checkout import tracked
from helpers.configs import changed, jobs

FILES = [p for p in tracked("config") if p.parent.name == "config" and p.suffix == ".yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_loads_as_itself(path, tmp_path):
    config = load_config(read_yaml(path))
    save_config(config, tmp_path / "configuration.yaml")
    again = read_yaml(tmp_path / "configuration.yaml")
    assert again == config
    assert load_config(copy.deepcopy(again)) == config


def test_it_has_what_the_run_was_told_on_the_command_line(tmp_path):
    given = {"seeds": ["3"], "evaluation": {"keep_adversarials": "true"}}
    content = changed("evaluation.keep_adversarials", "true") | {"seeds": ["3"]}
    save_config(load_config(content, given), tmp_path / "configuration.yaml")
    again = yaml.safe_load((tmp_path / "configuration.yaml").read_text(encoding="utf-8"))
    assert again["seeds"] == [3] and again["evaluation"]["keep_adversarials"] is True
    asked = changed("evaluation.keep_adversarials", True) | {"seeds": [3]}
    assert jobs(again) == jobs(asked)
