"""Which modules a job loads by name, and so the digest of its code. Without torch."""

from typing import Any

from advprune.base import imports
from advprune.plan.specs import DataSpec


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


def digest(script: str, spec: Any) -> str:
    """Digest of what a script does with a specification."""
    return imports.total(script, *modules(spec))


def net(arch: str) -> str:
    """Digest of a net's own module and of what it imports."""
    return imports.total(None, f"models.nets.{arch}")
