"""What runs only where the configuration asks for it, over dry-runs."""

import pytest

from helpers.checkout import Checkout, tiny_config

pytestmark = pytest.mark.slow
OFF = {
    "other_attacks": ({"images": 8, "steps": 2}, {"other_attacks"}),
    "corruptions": ({"images": 8}, {"corrupt", "corruptions"}),
}


@pytest.fixture
def checkout(tmp_path):
    config = tiny_config()
    config["grid"][0]["methods"] = ["dense"]
    return Checkout(tmp_path / "repo", config)


def rules(planned):
    return {rule for rule, _ in planned}


def test_costs_are_measured_always_and_the_rest_only_if_asked_for(checkout):
    planned = rules(checkout.planned())
    assert {"costs", "gather", "table"} < planned
    assert not planned & {rule for _, wanted in OFF.values() for rule in wanted}


@pytest.mark.parametrize("name", OFF)
def test_a_switch_plans_its_rules(checkout, name):
    before = rules(checkout.planned())
    value, wanted = OFF[name]
    config = tiny_config()
    config["grid"][0]["methods"] = ["dense"]
    config["evaluation"][name] = value
    checkout.configure(config)
    planned = checkout.planned()
    assert rules(planned) == before | wanted
    names = {path.rsplit("/", 1)[1] for _, path in planned}
    assert f"{name}.csv" in names


def test_every_family_of_corruptions_is_made_once(checkout):
    config = tiny_config()
    config["evaluation"]["corruptions"] = {"images": 8}
    checkout.configure(config)
    made = sorted(path.rsplit("-", 1)[1] for rule, path in checkout.planned() if rule == "corrupt")
    assert made == [f"{n}.safetensors" for n in ("blur", "digital", "noise", "weather")]
