"""Names of the nets and of their options. Without torch, because the workflow plans with them."""

from advprune.base.imports import defaulted, modules_in

# what a net may be asked beside its sizes: fields of `registry.NetSpec` and of `plan.specs`
OPTIONS = ("final_pool", "hidden")


def known_nets() -> list[str]:
    """Names of all nets, sorted: those of the modules in `models/nets`."""
    return modules_in("models.nets")


def options_of(net: str) -> tuple[str, ...]:
    """Those of `OPTIONS` that a net takes: the arguments of its `build` that have a default."""
    taken = defaulted(f"models.nets.{net}", "build")
    return tuple(name for name in OPTIONS if name in taken)
