"""Which epoch of a phase is taken: the last, or the most robust one on validation images.

Robust overfitting (Rice et al. 2020) makes a long adversarial training lose robustness after its
best epoch, and single-step training can lose all of it within one (Wong et al. 2020): decision 3.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from advprune.models.plain import plain_state

log = logging.getLogger("advprune")
Records = Sequence[dict[str, float]]


@dataclass(frozen=True)
class End:
    """How a phase ended: the epochs that were run, and the one (from 1) whose net was taken.

    `val_pgd` and `val_pgd_last` are the PGD accuracies on validation images of that epoch and of
    the last, in [0, 1]. `last` holds the last epoch's net as plain tensors where another one was
    taken by `keep` "best".
    """

    epochs: int
    taken: int
    val_pgd: float
    val_pgd_last: float
    keep: str
    last: dict[str, Tensor] | None = None


def robust(now: float, chance: float) -> bool:
    """Say whether a PGD accuracy speaks of robustness: one answer to all has that of guessing."""
    return now >= 2 * chance


def fell(now: float, best: float, chance: float) -> bool:
    """Say whether less than half is left of a PGD accuracy that spoke of robustness."""
    return now < best / 2 and robust(best, chance)


def collapse(history: Records, chance: float) -> str | None:
    """The mark of the first epoch whose PGD accuracy fell below half of the best before it.

    Epochs whose record is `unsettled`, because they ended without final masks, are compared with
    each other only, and the others likewise: what a cut takes is no collapse.
    """
    best, side = 0.0, False
    for record in history:
        now = record["val_pgd"]
        if ("unsettled" in record) != side:
            best, side = 0.0, not side
        if fell(now, best, chance):
            return (
                f"single-step training collapsed in epoch {record['epoch']:g}: "
                f"PGD on validation {best:.2f} → {now:.2f}"
            )
        best = max(best, now)
    return None


class Choice:
    """Chooses the epoch of one phase, and remembers the best net so far: the first of equals.

    `keep` is "best" or "last". Where no epoch is robust, as in natural training, the last is taken:
    the best would be one that has learned nothing and gives every image the same answer. A
    `fragile` training, one with a single-step attack, goes back to its best epoch when it has
    collapsed, whatever is kept. `chance` is the accuracy of guessing.
    """

    def __init__(self, keep: str, fragile: bool, chance: float) -> None:
        if keep not in ("best", "last"):
            raise ValueError(f"unknown keep {keep!r}")
        self.keep, self.fragile, self.chance = keep, fragile, chance
        self.best: dict[str, Any] = {"epoch": 0, "val_pgd": -1.0, "net": {}}

    def offer(self, net: nn.Module, record: dict[str, float]) -> None:
        """Remember the epoch of this record if it is better than all that were offered before."""
        now = record["val_pgd"]
        wanted = (self.keep == "best" or self.fragile) and robust(now, self.chance)
        if wanted and now > self.best["val_pgd"]:
            copied = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            self.best = {"epoch": record["epoch"], "val_pgd": now, "net": copied}

    def collapsed(self, record: dict[str, float]) -> bool:
        """Say whether training has collapsed since an epoch that it can go back to."""
        return self.fragile and fell(record["val_pgd"], self.best["val_pgd"], self.chance)

    def finish(self, net: nn.Module, history: Records) -> End:
        """Leave the chosen epoch in the net; at least one must have been run."""
        last, taken = len(history), self.best["epoch"]
        if not taken or not (self.keep == "best" or self.collapsed(history[-1])):
            taken = last
        pgd, pgd_last = (history[epoch - 1]["val_pgd"] for epoch in (taken, last))
        if taken == last:
            return End(last, taken, pgd, pgd_last, self.keep)
        log.info("epoch %d of %d is taken", taken, last)
        plain = plain_state(net) if self.keep == "best" else None
        net.load_state_dict(self.best["net"])
        return End(last, taken, pgd, pgd_last, self.keep, plain)

    def marks(self, history: Records) -> list[str]:
        """What the card shall say of the phase: that it collapsed."""
        text = collapse(history, self.chance) if self.fragile else None
        return [text] if text else []
