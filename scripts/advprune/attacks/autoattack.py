"""AutoAttack (Croce & Hein 2020, arXiv 2003.01690) with a verdict per sample.

The attacks are those of the packaged original, `pyautoattack`, in the original's configuration.
They are run one by one on the samples that are still robust, which is what the original does
too, so that it is known which attack broke which sample.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyautoattack
import torch
from pyautoattack import checks
from torch import Tensor, nn

from advprune.attacks.boundary import margin, misclassified
from advprune.attacks.fab import Fab
from advprune.attacks.square import Square
from advprune.attacks.verdicts import EPS_TOLERANCE
from advprune.base.errors import UserError
from advprune.base.progress import bar
from advprune.base.resume import Resume
from advprune.models.frozen import frozen
from advprune.models.precision import EXACT, arithmetic, lower, lowered

LOG = logging.getLogger("advprune")
TARGETS = 9  # of the targeted attacks, where there are that many wrong classes
# A sample found on the decision boundary can fall on either side of it when it is seen in another
# batch; beyond this share of the largest logit it is not rounding.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Verdicts:
    """Verdicts for N samples.

    `clean_correct` and `robust` are bool [N]; robust implies clean_correct. `broken_by` names the
    attack that broke a sample, "clean" if it was misclassified from the start, "" if it is
    robust. `adversarial` [N, C, H, W] is the input itself where no attack succeeded. `warnings`
    are signs that the verdicts may be too optimistic; AutoAttack's own and ours.
    """

    clean_correct: Tensor
    robust: Tensor
    broken_by: list[str]
    adversarial: Tensor
    warnings: list[str]


class _Tally:
    """The verdicts so far, and which attacks they come from; kept in a resume file if asked to."""

    def __init__(self, x: Tensor, correct: Tensor, resume: Resume | None) -> None:
        self.adversarial, self.robust, self.resume = x.clone(), correct.clone(), resume
        self.broken_by = ["" if right else "clean" for right in correct.tolist()]
        self.shares = {"clean": correct.double().mean().item()}  # robust ones after each attack

    def add(self, name: str, broken: Tensor, found: Tensor) -> None:
        """Attack `name` has broken the samples with indexes `broken`; `found` are its points."""
        self.adversarial[broken] = found
        self.robust[broken] = False
        for sample in broken.tolist():
            self.broken_by[sample] = name

    def finish(self, name: str, warnings: list[str]) -> None:
        """Attack `name` is done with all samples."""
        self.shares[name] = self.robust.double().mean().item()
        count = int(self.robust.sum())
        LOG.info("%s: %d of %d samples still robust", name, count, len(self.robust))
        if self.resume:
            moved = {"rows": (~self.robust).nonzero().squeeze(1)}
            moved["points"] = self.adversarial[moved["rows"]]
            state = {"shares": self.shares, "broken_by": self.broken_by, "warnings": warnings}
            self.resume.save("attacks", state | moved)

    def take_up(self) -> list[str]:
        """Go on after the attacks that an interrupted run finished; returns its warnings."""
        state = self.resume and self.resume.load("attacks", self.robust.device)
        if not state:
            return []
        self.shares, self.broken_by = state["shares"], state["broken_by"]
        self.robust[state["rows"]] = False
        self.adversarial[state["rows"]] = state["points"]
        LOG.info("resumed after %s", ", ".join(self.shares))
        return state["warnings"]


def autoattack(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    seed: int,
    batch_size: int,
    version: str = "standard",
    attacks: Sequence[str] | None = None,
    share: float = 1.0,
    precision: str = EXACT,
    resume: Resume | None = None,
) -> Verdicts:
    """Attack x [N, C, H, W] in [0, 1] with Linf radius eps; `attacks` selects some of `version`.

    Every batch of survivors starts from `seed`, as in the original: verdicts are a function of
    (net, samples in their order, seed, batch size), and the global random state is untouched.
    `share` below 1 shortens every attack alike, for benchmarks. In a `precision` lower than
    float32 attacks only propose adversarials, and float32 confirms them (`_run`). With `resume`,
    a run that is interrupted goes on after the last attack that was done with all samples.
    """
    x = x.contiguous()  # the original takes views that channels_last does not have
    devices = [x.device] if x.device.type == "cuda" else []
    stages = [precision, EXACT] if lower(precision, x.device) else [EXACT]
    with (
        frozen(net),
        arithmetic(EXACT),
        torch.random.fork_rng(devices),
        _caught_warnings() as warnings,
    ):
        logits = _logits(net, x, batch_size)
        correct, classes = ~misclassified(logits, y), logits.shape[1]
        engines = {
            stage: shorten(_engine(lowered(net, stage), x, eps, seed, version, classes), share)
            for stage in stages
        }
        engine, tally = engines[EXACT], _Tally(x, correct, resume)
        warnings += tally.take_up()
        for name in _chosen(attacks, engine.attacks_to_run):
            left = tally.robust.nonzero().squeeze(1)
            if len(left) == 0:
                break
            if name in tally.shares:
                continue
            for broken, found in _run(net, engines, name, x, y, left, batch_size):
                tally.add(name, broken, found)
            tally.finish(name, warnings)
        checks.check_square_sr(tally.shares, logger=engine.logger)
        warnings += _verify(net, x, y, tally.adversarial, tally.robust, eps, batch_size)
    return Verdicts(correct, tally.robust, tally.broken_by, tally.adversarial, warnings)


def _engine(
    net: nn.Module, x: Tensor, eps: float, seed: int, version: str, classes: int
) -> pyautoattack.AutoAttack:
    """Configure the original; fewer targets where the net has fewer than ten classes."""
    if version not in ("standard", "plus", "rand"):
        raise UserError(f"AutoAttack version {version!r} is not one of standard, plus, rand")
    if classes < 4 and version != "rand":
        raise UserError(f"AutoAttack's targeted DLR loss needs 4 classes, the net has {classes}")
    engine = pyautoattack.AutoAttack(
        net, norm="Linf", eps=eps, seed=seed, version=version, device=x.device
    )
    engine.square = Square(
        net,
        p_init=0.8,
        n_queries=5000,
        eps=eps,
        norm="Linf",
        n_restarts=1,
        seed=seed,
        verbose=False,
        device=x.device,
        resc_schedule=False,
    )
    engine.fab = Fab(
        net,
        n_restarts=engine.fab.n_restarts,
        n_iter=100,
        eps=eps,
        seed=seed,
        norm="Linf",
        verbose=False,
        device=x.device,
    )
    engine.apgd_targeted.n_target_classes = min(TARGETS, classes - 1)
    engine.fab.n_target_classes = min(TARGETS, classes - 1)
    return engine


def shorten(engine: pyautoattack.AutoAttack, share: float) -> pyautoattack.AutoAttack:
    """Leave only a share of all iterations and queries."""
    for attack in (engine.apgd, engine.apgd_targeted, engine.fab):
        attack.n_iter = max(1, round(share * attack.n_iter))
    engine.square.n_queries = max(1, round(share * engine.square.n_queries))
    return engine


def _chosen(attacks: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    if unknown := set(attacks or ()) - set(known):
        raise UserError(f"unknown attacks {sorted(unknown)}; this version has {', '.join(known)}")
    return [name for name in known if attacks is None or name in attacks]


def _run(
    net: nn.Module,
    engines: dict[str, pyautoattack.AutoAttack],
    name: str,
    x: Tensor,
    y: Tensor,
    left: Tensor,
    batch_size: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Run one attack on the samples `left`; yields samples that it breaks and their adversarials.

    What it claims in a lower precision must hold in float32. A sample for which that fails may
    never have been attacked in earnest, because rounding alone moved it across the boundary: the
    attack is run on it again, in float32.
    """
    for precision, engine in engines.items():
        if len(left) == 0:
            return
        engine.attacks_to_run = [name]
        unconfirmed = []
        with bar(name, total=len(left)) as progress:
            for rows in left.split(batch_size):
                with arithmetic(precision):
                    found, labels = engine.run_standard_evaluation(
                        x[rows], y[rows], batch_size=batch_size
                    )
                claimed = labels != y[rows]
                rows, found, asked = rows[claimed], found[claimed], len(rows)
                holds = torch.ones_like(rows, dtype=torch.bool)
                if precision != EXACT and len(rows):
                    holds = misclassified(_logits(net, found, batch_size), y[rows])
                yield rows[holds], found[holds]
                unconfirmed.append(rows[~holds])
                progress.update(asked)
        left = torch.cat(unconfirmed)


@torch.no_grad()
def _logits(net: nn.Module, x: Tensor, batch_size: int) -> Tensor:
    return torch.cat([net(images) for images in x.split(batch_size)])


@torch.no_grad()
def _verify(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    adversarial: Tensor,
    robust: Tensor,
    eps: float,
    batch_size: int,
) -> list[str]:
    """Check every adversarial again: inside the box and eps, and not classified as its label.

    Returns warnings. One that is plainly classified as its label is a RuntimeError.
    """
    if not ((adversarial - x).abs() <= eps + EPS_TOLERANCE).all():  # not >: NaN must fail too
        raise RuntimeError("AutoAttack returned a perturbation larger than eps")
    if adversarial.min() < 0 or adversarial.max() > 1:
        raise RuntimeError("AutoAttack returned an image outside [0, 1]")
    broken = (~robust).nonzero().squeeze(1)
    if len(broken) == 0:
        return []
    logits = _logits(net, adversarial[broken], batch_size)
    back = ~misclassified(logits, y[broken])
    if (margin(logits, y[broken])[back] > ROUNDING * logits[back].abs().amax(1)).any():
        raise RuntimeError("an adversarial of AutoAttack is classified correctly when seen again")
    count = int(back.sum())
    return [f"{count} adversarials lie within rounding of the decision boundary"] if count else []


@contextmanager
def _caught_warnings() -> Iterator[list[str]]:
    """Collect the original's warnings, once each, and log them as ours instead of printing.

    Its check for dynamic defences also removes the trace function of debuggers and coverage
    tools; it is put back at the end.
    """
    seen: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() not in seen:
                seen.append(record.getMessage())
                LOG.warning("AutoAttack: %s", record.getMessage())

    logger, handler = logging.getLogger("auto-attack"), Collect(logging.WARNING)
    propagate, trace = logger.propagate, sys.gettrace()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield seen
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        sys.settrace(trace)
