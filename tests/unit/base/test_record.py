"""Specifications as JSON: what is at its default is not in it, what is unknown is refused."""

from dataclasses import dataclass, field

import pytest

from advprune.base.errors import UserError
from advprune.base.record import from_json, to_dict, to_json
from advprune.plan import specs


@dataclass(frozen=True)
class Inner:
    rate: float
    times: tuple[float, ...] = (0.5, 0.75)


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    more: dict[str, Inner] = field(default_factory=dict)
    note: str | None = None


FULL = Outer("a", Inner(0.1, (0.25,)), {"b": Inner(1.0)}, "why")


@pytest.mark.parametrize("record", [FULL, Outer("a", Inner(0.5))])
def test_what_is_written_comes_back(record):
    assert from_json(Outer, to_json(record)) == record


def test_defaults_are_left_out_at_every_depth():
    assert to_dict(Outer("a", Inner(0.5))) == {"name": "a", "inner": {"rate": 0.5}}
    assert to_dict(FULL)["more"] == {"b": {"rate": 1.0}}


def test_a_whole_number_may_stand_for_a_fractional_one():
    assert from_json(Inner, '{"rate": 1}').rate == 1.0


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"rate": "fast"}', '{"rate": 1, "rates": 2}', '{"rate": null}', "5"],
)
def test_anything_else_is_one_line(text):
    with pytest.raises(UserError) as caught:
        from_json(Inner, text)
    assert str(caught.value).startswith("specification: not ")
    assert "\n" not in str(caught.value)


def test_a_radius_keeps_its_last_digit():
    threat = specs.Threat(8 / 255, 2 / 255, 10)
    assert from_json(specs.Threat, to_json(threat)) == threat
