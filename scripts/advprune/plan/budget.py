"""How the epochs of a common budget are divided among a method's phases.

Training effort is counted in epochs: passes over the training images in which weights, scores or
masks learn, the search for masks included. Under a common budget every method has the same total,
references included. Pure Python without torch: this runs while the workflow plans.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from advprune.base.errors import UserError


def divide(
    total: int, phases: Sequence[str], shares: Mapping[str, float], where: str
) -> dict[str, int]:
    """Epochs of each phase, in the order given; they add up to `total`.

    Every phase but the last takes its share (in (0, 1)) of the total, rounded; the last takes what
    is left. A phase without a share or without an epoch is a UserError that begins with `where`.
    """
    *first, last = phases
    for phase in first:
        if phase not in shares:
            raise UserError(f"{where}: no share of the epochs for {phase}")
    epochs = {phase: round(shares[phase] * total) for phase in first}
    epochs[last] = total - sum(epochs.values())
    for phase, count in epochs.items():
        if count < 1:
            raise UserError(f"{where}: {phase} gets {count} of {total} epochs")
    return epochs


def check_sum(shares: Mapping[str, float], where: str) -> None:
    """Refuse shares that leave nothing for a last phase; decimals are added exactly."""
    if sum(Fraction(str(share)) for share in shares.values()) >= 1:
        raise UserError(f"{where}: the shares leave nothing for the last phase")


def check_shares(shares: Mapping[str, float], phases: Sequence[str], where: str) -> None:
    """Refuse shares of phases that a method does not have, and of the last, which has the rest."""
    for phase in shares:
        if phase not in phases:
            raise UserError(f"{where}.shares: no phase {phase}")
        if phase == phases[-1]:
            raise UserError(f"{where}.shares: {phase} is the last phase and takes what is left")


def check_layer(changes: Mapping[str, Any], common: bool, where: str) -> None:
    """Refuse epochs by hand under a common budget, and shares without one."""
    for phase, recipe in changes.get("recipes", {}).items():
        if common and "epochs" in recipe:
            raise UserError(
                f"{where}.recipes.{phase}.epochs: epochs follow from budget.epochs and shares"
            )
    if not common and "shares" in changes:
        raise UserError(f"{where}.shares: budget is published and has no epochs to share")
