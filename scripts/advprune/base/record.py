"""Frozen dataclasses as JSON: what a job is asked to do, without what is at its default.

A field at its default stays out of the JSON, so that a new option leaves the identity of every job
that does not use it as it was. Therefore a default never changes its meaning: another behaviour is
another value.
"""

import dataclasses
import json
from typing import Any, TypeVar

import dacite

from advprune.base.errors import UserError

T = TypeVar("T")


def _number(value: Any) -> Any:
    """A whole number in a configuration may stand for a fractional one."""
    return float(value) if type(value) is int else value


_CONFIG = dacite.Config(strict=True, cast=[tuple], type_hooks={float: _number})


def to_dict(record: Any) -> dict[str, Any]:
    """Fields of a dataclass that differ from their defaults; nested ones likewise."""
    fields = ((f, getattr(record, f.name)) for f in dataclasses.fields(record))
    return {f.name: _plain(value) for f, value in fields if value != _default(f)}


def to_json(record: Any) -> str:
    """The same as text with sorted keys: equal records give equal texts."""
    return json.dumps(to_dict(record), sort_keys=True)


def from_dict(kind: type[T], content: Any, where: str = "specification") -> T:
    """Dataclass of a kind from what `to_dict` returned; anything else is a UserError."""
    try:
        return dacite.from_dict(kind, content, _CONFIG)
    except (dacite.DaciteError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: not a {kind.__name__}: {error}") from None


def from_json(kind: type[T], text: str) -> T:
    """The same from text."""
    try:
        return from_dict(kind, json.loads(text))
    except json.JSONDecodeError as error:
        raise UserError(f"specification: not valid JSON ({error})") from None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
