"""Which modules a job loads by name, and so the digest of its code. Without torch."""

from collections.abc import Mapping
from typing import Any

from advprune.base import imports
from advprune.plan.specs import CheckNetSpec, DataSpec


def modules(spec: Any) -> tuple[str, ...]:
    """Modules that the job of a specification loads by name: its method, net, objectives, data.

    Dotted, below the package. A job's code holds these and no other method, net or objective.
    """
    found = []
    if method := getattr(spec, "method", None):
        found.append(f"methods.{method}")
    if isinstance(spec, DataSpec):
        found.append(f"data.sets.{spec.name}")
    if arch := getattr(spec, "arch", None):
        found.append(f"models.nets.{arch}")
    objectives = [*getattr(spec, "objectives", {}).values(), getattr(spec, "objective", None)]
    found += [f"training.objectives.{entry['name']}" for entry in objectives if entry]
    return tuple(dict.fromkeys(found))


def behind(script: str, spec: Any) -> Mapping[str, str]:
    """Digest of every file behind what a script does with a specification, as cards have them."""
    return imports.code(_script(script, spec), *modules(spec))


def digest(script: str, spec: Any) -> str:
    """One digest of them."""
    return imports.total(_script(script, spec), *modules(spec))


def _script(script: str, spec: Any) -> str | None:
    """The script; none behind the check of a net, so that another check makes no training stale."""
    return None if isinstance(spec, CheckNetSpec) else script
