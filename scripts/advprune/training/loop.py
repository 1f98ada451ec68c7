"""The one training loop: epochs, schedule, hooks, progress, and resume after a kill.

All randomness of an epoch comes from a generator derived from (seed, phase, epoch). Nothing random
is carried from epoch to epoch, so a run resumed from its last finished epoch ends bit-identical to
an uninterrupted one.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from advprune.base.progress import bar
from advprune.base.resume import Resume
from advprune.base.seeds import generator
from advprune.data.batches import Augment, Extra, batches
from advprune.data.dataset import Split
from advprune.models.precision import EXACT, lower, passes
from advprune.plan.specs import Recipe, Threat
from advprune.training.epochs import Choice, End
from advprune.training.monitor import accuracy, robust_accuracy
from advprune.training.objective import Objective, begin, single_step
from advprune.training.recipes import multiplier, optimizer

log = logging.getLogger("advprune")


@dataclass
class Loop:
    """What a hook can see of a running phase.

    `step` counts finished optimiser steps. A hook that sets `stop` ends the phase with its epoch.
    `companion` is the objective's own net, if it has one.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    epochs: int
    steps: int
    epoch: int = 0
    step: int = 0
    stop: bool = False
    rng: torch.Generator = field(default_factory=torch.Generator)
    companion: nn.Module = field(default_factory=nn.Module)

    @property
    def time(self) -> float:
        """Share of the phase that is over, in [0, 1]."""
        return self.step / self.steps

    def due(self, times: int, last: bool = False) -> int:
        """How many of `times` updates, spread evenly over the phase, are due by now.

        Behind each of them lies as much training as between two, so that none comes at the end of
        the phase; with `last` the last one does. In whole numbers, because a product of floats may
        round an update to the step after.
        """
        return min(times, self.step * (times if last else times + 1) // self.steps)


class Hook:
    """Something a method adds to the loop. Every part is optional.

    `state` names the attributes that a resumed phase must find as they were: tensors, numbers,
    text, lists and dicts.
    """

    state: ClassVar[tuple[str, ...]] = ()

    def before_step(self, loop: Loop) -> None:
        """Run before the forward pass of a batch."""

    def penalty(self, loop: Loop) -> Tensor | float:
        """Differentiable term added to the objective's loss."""
        return 0.0

    def after_step(self, loop: Loop) -> None:
        """Run after the optimiser step; gradients are still there."""

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Run at the end of an epoch; may add figures to its record."""

    def settled(self, loop: Loop) -> bool:
        """Say whether the masks are final, so that nets of epochs yet to begin may be taken."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """State to save with the epoch's checkpoint."""
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name in self.state:
            setattr(self, name, state[name])


def final(hooks: Iterable[Hook], loop: Loop) -> bool:
    """Say whether the masks are final for all hooks."""
    return all(hook.settled(loop) for hook in hooks)


def gradient(parameter: Tensor) -> Tensor:
    """What the last backward pass has left; a parameter that took no part in it is a ValueError."""
    if parameter.grad is None:
        raise ValueError("a parameter without a gradient")
    return parameter.grad


@dataclass(frozen=True)
class Trainer:
    """Runs training phases on one dataset under one threat.

    `state_dir` holds the resume files; they are only taken up when `fingerprint` (everything the
    job depends on) is the same. `marks` are lines for the card about what a reader must know,
    `ends` says of every phase which of its epochs was taken. `extra` images are mixed into the
    loop's batches, and a `precision` below float32 is that of the net's passes (see
    `models.precision.passes`); both make a mark.
    """

    train: Split
    val: Split
    augment: Augment
    threat: Threat
    seed: int
    state_dir: Path
    fingerprint: str = ""
    marks: list[str] = field(default_factory=list)
    ends: dict[str, End] = field(default_factory=dict)
    extra: Extra | None = None
    precision: str = EXACT

    @property
    def device(self) -> torch.device:
        """Device of the images, where the net must be as well."""
        return self.train.images.device

    def rng(self, *names: str | int) -> torch.Generator:
        """Generator on the training device for a named purpose."""
        return generator(self.seed, *names, device=self.device)

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Batches in an epoch; a last batch of one image is dropped (BatchNorm needs two)."""
        full, rest = divmod(len(self.train), recipe.batch)
        return full + (rest > 1)

    def fit(
        self,
        net: nn.Module,
        objective: Objective,
        recipe: Recipe,
        phase: str,
        hooks: Sequence[Hook] = (),
        parameters: Iterable[nn.Parameter] | None = None,
        keep: str = "last",
    ) -> list[dict[str, float]]:
        """Train `net` in place for one phase and return one record of figures per epoch.

        Without `parameters` all are trained that require a gradient; the companion's always are.
        With `keep` "best" the net that comes back is that of the epoch most robust on validation
        images among those whose masks are final for all hooks, with "last" (or if there is none)
        that of the last. Training with a single-step attack ends, and goes back to its best epoch,
        when it has collapsed.
        """
        if parameters is None:
            parameters = [p for p in net.parameters() if p.requires_grad]
        steps = max(1, recipe.epochs * self.steps_per_epoch(recipe))
        loop = Loop(net, optimizer(recipe, parameters), recipe.epochs, steps)
        loop.companion = begin(objective, net, self.rng(phase, "companion"))
        if own := list(loop.companion.parameters()):
            loop.optimizer.add_param_group({"params": own})
        choice = Choice(keep, single_step(objective), 1 / len(self.val.labels.unique()))
        history = self._resume(loop, hooks, phase, choice)
        with (
            bar(phase, total=steps, initial=loop.step) as progress,
            passes(net, self.precision),
            passes(loop.companion, self.precision),
        ):
            while loop.epoch < recipe.epochs and not loop.stop:
                loop.rng = self.rng(phase, loop.epoch)
                settled = final(hooks, loop)
                record = self._epoch(loop, objective, recipe, hooks, progress)
                for hook in hooks:
                    hook.after_epoch(loop, record)
                loop.epoch += 1
                if not final(hooks, loop):
                    record["unsettled"] = 1.0
                record = self._monitor(loop, record, phase)
                history.append(record)
                if settled:
                    choice.offer(net, record)
                loop.stop |= choice.collapsed(record)
                self._save(loop, hooks, phase, history, choice)
        net.eval()
        if history:
            self.ends[phase] = choice.finish(net, history)
            self._mark_training()
        for text in choice.marks(history):
            log.warning("%s: %s", phase, text)
            self.marks.append(text)
        return history

    def _mark_training(self) -> None:
        """Mark, once, what a reader must know of every training of this trainer."""
        found = [self.extra.mark] if self.extra else []
        found += [f"trained in {self.precision}"] * lower(self.precision, self.device)
        self.marks.extend(mark for mark in found if mark not in self.marks)

    def _epoch(
        self, loop: Loop, objective: Objective, recipe: Recipe, hooks: Sequence[Hook], progress: Any
    ) -> dict[str, float]:
        """One pass over the training images; the loss is read from the device only once."""
        loop.net.train()
        total = torch.zeros((), device=self.device)
        per_epoch = self.steps_per_epoch(recipe)
        images = batches(
            self.train, recipe.batch, generator=loop.rng, augment=self.augment, extra=self.extra
        )
        for _, (x, y) in zip(range(per_epoch), images, strict=False):
            for group in loop.optimizer.param_groups:
                group["lr"] = recipe.lr * multiplier(recipe, loop.time)
            for hook in hooks:
                hook.before_step(loop)
            loss = objective.loss(loop.net, x, y, loop.rng)
            loss = loss + sum(hook.penalty(loop) for hook in hooks)
            loop.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            loop.optimizer.step()
            loop.step += 1
            for hook in hooks:
                hook.after_step(loop)
            total += loss.detach()
            progress.update()
        return {"loss": float(total) / per_epoch}

    def _monitor(self, loop: Loop, record: dict[str, float], phase: str) -> dict[str, float]:
        """Add validation figures to the epoch's record and log it."""
        rng = self.rng(phase, "monitor", loop.epoch)
        record |= {
            "epoch": loop.epoch,
            "val_clean": accuracy(loop.net, self.val),
            "val_pgd": robust_accuracy(loop.net, self.val, self.threat, rng),
        }
        if not math.isfinite(record["loss"]):
            log.warning("%s: the loss is not finite in epoch %d", phase, loop.epoch)
        figures = "  ".join(f"{k} {v:.4g}" for k, v in record.items() if k != "epoch")
        log.info("%s  epoch %d/%d  %s", phase, loop.epoch, loop.epochs, figures)
        return record

    @property
    def _files(self) -> Resume:
        return Resume(self.state_dir, self.fingerprint)

    def _save(
        self, loop: Loop, hooks: Sequence[Hook], phase: str, history: list, choice: Choice
    ) -> None:
        state = {
            "epoch": loop.epoch,
            "step": loop.step,
            "stop": loop.stop,
            "history": history,
            "net": loop.net.state_dict(),
            "companion": loop.companion.state_dict(),
            "optimizer": loop.optimizer.state_dict(),
            "hooks": [hook.state_dict() for hook in hooks],
            "best": choice.best,
        }
        self._files.save(phase, state)

    def _resume(
        self, loop: Loop, hooks: Sequence[Hook], phase: str, choice: Choice
    ) -> list[dict[str, float]]:
        """Take up the phase's last finished epoch, if there is one of this very job."""
        state = self._files.load(phase, self.device)
        if state is None:
            return []
        loop.net.load_state_dict(state["net"])
        loop.companion.load_state_dict(state["companion"])
        loop.optimizer.load_state_dict(state["optimizer"])
        for hook, saved in zip(hooks, state["hooks"], strict=True):
            hook.load_state_dict(saved)
        loop.epoch, loop.step, loop.stop = state["epoch"], state["step"], state["stop"]
        choice.best = state["best"]
        log.info("%s: resumed after epoch %d of %d", phase, loop.epoch, loop.epochs)
        return state["history"]
