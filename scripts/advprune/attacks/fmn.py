"""FMN, the fast minimum-norm attack, for the Linf norm.

Pintor et al. 2021 (arXiv 2102.12827, Algorithm 1), made modular as in Mura et al. 2024 (HO-FMN,
arXiv 2407.08806): the loss, the optimiser and the step-size schedule can be exchanged.
Everything is per sample, so a result does not depend on the batch around it.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from advprune.attacks.boundary import LOSSES, TINY, misclassified
from advprune.base.errors import UserError
from advprune.models.frozen import frozen
from advprune.models.precision import EXACT, arithmetic, lower, lowered

OPTIMIZERS = ("SGD", "Adam", "Adamax")
SCHEDULES = ("cosine", "plateau")


# (points [B, ...], which of them to ask about [B]) -> which of these are adversarial [B]
Confirm = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class FmnConfig:
    """Hyper-parameters of FMN; the defaults are the untuned attack."""

    loss: str = "LL"
    optimizer: str = "SGD"
    schedule: str = "cosine"
    step_size: float = 0.1  # first step, in units of the input range
    gamma: float = 0.05  # first relative change of eps
    gamma_final: float = 0.001
    momentum: float = 0.0  # SGD
    beta1: float = 0.9  # Adam, Adamax
    beta2: float = 0.999
    factor: float = 0.5  # plateau: the step size shrinks by this ...
    patience: int = 5  # ... after more than this many steps without progress
    random_start: float = 0.0  # radius of a uniform random start; 0 starts at the input

    def __post_init__(self) -> None:
        choices = {"loss": LOSSES, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                raise UserError(f"FMN {name} {value!r} is not one of {', '.join(known)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "FmnConfig":
        """Inverse of `to_dict`; unknown names are a UserError."""
        if unknown := set(values) - {field.name for field in fields(cls)}:
            raise UserError(f"unknown FMN settings: {', '.join(sorted(unknown))}")
        return cls(**values)


@dataclass(frozen=True)
class MinimumNorm:
    """What a minimum-norm attack found, per sample.

    `distance` [B] is the Linf norm of `adversarial - x`: 0 where x itself is misclassified, inf
    where nothing was found. `adversarial` [B, ...] was seen to be misclassified wherever `found`
    [B] is true, and is x elsewhere. `forwards` and `backwards` count the passes of one sample,
    without the confirmations of a search in lower precision.
    """

    distance: Tensor
    adversarial: Tensor
    found: Tensor
    forwards: int
    backwards: int


class _Best:
    """The smallest adversarial perturbation seen so far, per sample."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.dims = tuple(range(1, x.ndim))
        self.radius = torch.maximum(x, 1 - x).amax(self.dims)  # no point of the box is farther
        self.adversarial = x
        self.distance = torch.full((len(x),), math.inf, device=x.device, dtype=x.dtype)

    def offer(
        self, point: Tensor, wrong: Tensor, confirm: Confirm | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take misclassified points that are nearer; returns (their norms, which were taken).

        Only those that `confirm` confirms, if it is given.
        """
        norm = (point - self.x).abs().amax(self.dims)
        better = wrong & (norm < self.distance)
        if confirm is not None:
            better = confirm(point, better)
        self.distance = torch.where(better, norm, self.distance)
        self.adversarial = torch.where(spread(better, self.x), point, self.adversarial)
        return norm, better

    @property
    def found(self) -> Tensor:
        return self.distance < math.inf


def spread(values: Tensor, x: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, ...] so that it multiplies the samples of x [B, ...]."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _ascent(config: FmnConfig, gradient: Tensor, state: dict[str, Tensor], step: int) -> Tensor:
    """Direction of the optimiser for the gradient of step 1, 2, ...; `state` is its memory."""
    if config.optimizer == "SGD":
        state["m"] = gradient + config.momentum * state.get("m", torch.zeros_like(gradient))
        return state["m"]
    state["m"] = torch.lerp(gradient, state.get("m", torch.zeros_like(gradient)), config.beta1)
    mean = state["m"] / (1 - config.beta1**step)
    old = state.get("v", torch.zeros_like(gradient))
    if config.optimizer == "Adamax":
        state["v"] = torch.maximum(config.beta2 * old, gradient.abs())
        return mean / (state["v"] + 1e-8)
    state["v"] = torch.lerp(gradient.square(), old, config.beta2)
    return mean / ((state["v"] / (1 - config.beta2**step)).sqrt() + 1e-8)


class _Plateau:
    """Step size per sample that shrinks when a sample makes no progress.

    Progress is a higher loss until the first adversarial point, a smaller distance from then on:
    after that the loss is held near 0 by the shrinking eps and says nothing.
    """

    def __init__(self, config: FmnConfig, like: Tensor) -> None:
        self.config = config
        self.rate = torch.full_like(like, config.step_size)
        self.highest = torch.full_like(like, -math.inf)
        self.idle = torch.zeros_like(like)

    def __call__(self, objective: Tensor, better: Tensor, found: Tensor) -> Tensor:
        progress = torch.where(found, better, objective > self.highest)
        self.highest = torch.maximum(self.highest, objective)
        self.idle = torch.where(progress, 0, self.idle + 1)
        tired = self.idle > self.config.patience
        self.idle = torch.where(tired, 0, self.idle)
        shrunk = (self.rate * self.config.factor).clamp_min(self.config.step_size / 100)
        self.rate = torch.where(tired, shrunk, self.rate)
        return self.rate


def _gradient(
    net: nn.Module, point: Tensor, y: Tensor, loss: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(logits, ascent objective [B], boundary value [B], gradient of the objective [B, ...])."""
    with torch.enable_grad():
        point = point.detach().requires_grad_()
        logits = net(point)
        objective, gap = LOSSES[loss](logits, y)
        (gradient,) = torch.autograd.grad(objective.sum(), point)
    return logits.detach(), objective.detach(), gap.detach(), gradient.nan_to_num(0, 0, 0)


@torch.no_grad()
def fmn(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    config: FmnConfig | None = None,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    precision: str = EXACT,
) -> MinimumNorm:
    """Smallest Linf perturbations of x [B, ...] in [0, 1] that change the right answer y [B].

    The optimiser sees the sign of the gradient: steepest ascent in the Linf norm, as in HO-FMN.
    Until the first adversarial point eps is the estimated distance to the boundary, as published,
    but grows at least like later on: estimates alone can near a boundary and never cross it.
    `start` [B, ...] gives points to begin from. `generator` is for the random start, which makes
    a result depend on the sample's place in the batch. In a `precision` lower than float32 a point
    only counts where float32 confirms that it is adversarial.
    """
    config = config or FmnConfig()
    confirm = _confirmation(net, y) if lower(precision, x.device) else None
    x = x.detach()
    best, asked = _Best(x), lowered(net, precision)
    ε = torch.zeros_like(best.distance)
    α: Tensor | float
    memory: dict[str, Tensor] = {}
    plateau = _Plateau(config, ε)
    with frozen(net), arithmetic(EXACT):
        point = _first_point(x, start, config, generator)
        if extra := point is not x or confirm is not None:
            best.offer(x, misclassified(net(x), y))
        for k in range(steps):
            cosine = (1 + math.cos(math.pi * k / steps)) / 2
            γ = config.gamma_final + (config.gamma - config.gamma_final) * cosine
            with arithmetic(precision):
                answers = _gradient(asked, point, y, config.loss)
            logits, objective, gap, gradient = answers
            wrong = misclassified(logits, y)
            norm, better = best.offer(point, wrong, confirm)
            wrong &= norm >= best.distance  # what was not confirmed would be nearer
            boundary = norm + gap.abs() / gradient.abs().sum(best.dims).clamp_min(TINY)
            ε = _next_eps(ε * (1 + γ), boundary, wrong, best, shrink=1 - γ)
            if config.schedule == "plateau":
                α = spread(plateau(objective, better, best.found), x)
            else:
                α = config.step_size * (0.01 + 0.99 * cosine)
            δ = point - x + α * _ascent(config, gradient.sign(), memory, k + 1)
            point = (x + δ.clamp(-spread(ε, x), spread(ε, x))).clamp(0, 1)
        best.offer(point, misclassified(net(point), y))
    return MinimumNorm(best.distance, best.adversarial, best.found, steps + 1 + extra, steps)


def _next_eps(
    grown: Tensor, boundary: Tensor, wrong: Tensor, best: _Best, *, shrink: float
) -> Tensor:
    """Radius [B] for the next point: inside the best distance, or outwards while not wrong."""
    outwards = torch.where(best.found, grown, torch.maximum(grown, boundary))
    ε = torch.where(wrong, best.distance * shrink, outwards)
    return torch.minimum(ε, best.radius)


def _confirmation(net: nn.Module, y: Tensor) -> Confirm:
    """Return a function that asks the net in the arithmetic around it."""

    def confirm(point: Tensor, asked: Tensor) -> Tensor:
        rows, confirmed = asked.nonzero().squeeze(1), asked.clone()
        if len(rows):
            confirmed[rows] = misclassified(net(point[rows]), y[rows])
        return confirmed

    return confirm


def _first_point(
    x: Tensor, start: Tensor | None, config: FmnConfig, generator: torch.Generator | None
) -> Tensor:
    if start is not None:
        return start.detach().clamp(0, 1)
    if config.random_start == 0:
        return x
    if generator is None:
        raise ValueError("a random start needs a generator")
    noise = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return (x + config.random_start * (2 * noise - 1)).clamp(0, 1)


def fmn_in_batches(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    batch_size: int,
    config: FmnConfig | None = None,
    precision: str = EXACT,
    progress: Callable[[int], object] | None = None,
) -> MinimumNorm:
    """`fmn` on any number of samples, `batch_size` at a time; no random start.

    `progress` hears after each batch how many samples it had.
    """
    parts = []
    with frozen(net):
        for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True):
            parts.append(fmn(net, images, labels, steps=steps, config=config, precision=precision))
            if progress:
                progress(len(images))
    names = ("distance", "adversarial", "found")
    distance, adversarial, found = (torch.cat([getattr(p, n) for p in parts]) for n in names)
    return MinimumNorm(distance, adversarial, found, parts[0].forwards, parts[0].backwards)
