"""Names of the nets. Without torch, because the workflow reads them while planning."""

from advprune.base.imports import modules_in


def known_nets() -> list[str]:
    """Names of all nets, sorted: those of the modules in `models/nets`."""
    return modules_in("models.nets")
