"""Indicators of attack failure (Pintor et al. 2022, arXiv 2106.09947, section 3), in batches.

Each says of every image whether the attacks may have failed on it for a reason that has nothing
to do with robustness. The number of draws and the share of the loss in `incomplete_optimisation`
are those of the authors' released code.

Two attacks are looked at. The tuned FMN, whose distances the leaderboard shows, is watched from
outside through the net that it asks. A plain PGD at a fixed radius serves the indicators that
speak of a loss within a radius, which a minimum-norm attack does not have.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advprune.attacks.boundary import margin, misclassified
from advprune.attacks.fmn import FmnConfig, fmn, spread
from advprune.attacks.verdicts import EPS_TOLERANCE
from advprune.models.frozen import frozen
from advprune.models.precision import EXACT, arithmetic

DRAWS = 100  # points around an image
AROUND = 1e-3  # how far they lie from it at most
UNSTABLE = 0.1  # mean relative change of the loss from which a prediction counts as unstable
LAST = 10  # steps of PGD at its end ...
INCOMPLETE = 0.05  # ... and the share of the loss's whole fall that must not happen in them
WHOLE_BOX = 1.0


def indicators(
    net: nn.Module,
    saved: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    steps: int,
    config: FmnConfig,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Six indicators as bool [N] for images x [N, C, H, W] that the net classifies as y [N].

    `net` is what the attacks are run on, `saved` the net that is meant by the result. `steps` is
    the length of every attack here.
    """
    with frozen(net), frozen(saved), arithmetic(EXACT):
        silent, points, broken = _watch(net, x, y, eps, steps, config)
        with torch.no_grad():
            transfer = broken & ~misclassified(saved(points), y)
        return {
            "unavailable_gradients": unavailable_gradients(net, x, y),
            "unstable_predictions": unstable_predictions(net, x, y, generator),
            "silent_success": silent,
            "incomplete_optimisation": incomplete(pgd(net, x, y, eps, steps)),
            "transfer_failure": transfer,
            "unconstrained_failure": (pgd(net, x, y, WHOLE_BOX, steps) > 0).all(0),
        }


def unavailable_gradients(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Bool [N]: the gradient that the attacks climb is zero, not finite or cannot be had."""
    _, gradient = _descent(net, x, y)
    gradient = gradient.flatten(1)
    return (gradient == 0).all(1) | ~gradient.isfinite().all(1)


@torch.no_grad()
def unstable_predictions(
    net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator
) -> Tensor:
    """Bool [N]: the loss changes by more than a tenth, on average, at points beside the image."""
    # in double: the loss of an image that is classified with confidence is all rounding in float
    reference = cross_entropy(net(x).double(), y, reduction="none")
    total = torch.zeros_like(reference)
    for _ in range(DRAWS):
        noise = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        loss = cross_entropy(net(x + AROUND * (2 * noise - 1)).double(), y, reduction="none")
        total += (loss - reference).abs() / torch.where(reference == 0, 1, reference)
    return ~(total / DRAWS <= UNSTABLE)  # not >: NaN is unstable


@torch.no_grad()
def pgd(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """Margins [steps + 1, N] along plain PGD from x within Linf radius eps; negative is broken.

    It descends the margin by the gradient's sign, with a step that falls from eps to a hundredth
    of it, as FMN's does.
    """
    point, path = x, []
    for k in range(steps):
        gap, gradient = _descent(net, point, y)
        path.append(gap)
        α = eps * (0.01 + 0.99 * (1 + math.cos(math.pi * k / steps)) / 2)
        point = point - α * gradient.nan_to_num(0, 0, 0).sign()
        point = torch.min(torch.max(point, x - eps), x + eps).clamp(0, 1)
    return torch.stack([*path, margin(net(point), y)])


def incomplete(path: Tensor) -> Tensor:
    """Bool [N]: unbroken, and the smallest margin so far still fell notably in the last steps.

    Notably means by more than a share of its whole fall along the path [steps + 1, N].
    """
    smallest = path.cummin(0).values
    before = smallest[max(len(path) - LAST, 0)]
    whole = smallest[0] - smallest[-1]
    return (smallest[-1] > 0) & (before - smallest[-1] > INCOMPLETE * whole)


def _descent(net: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(margin [N], its gradient [N, ...], zero where the net lets none through)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        gap = margin(net(x), y)
        if not gap.requires_grad:
            return gap, torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(gap.sum(), x, allow_unused=True)
    return gap.detach(), torch.zeros_like(x) if gradient is None else gradient


def _watch(
    net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, config: FmnConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """(silent success [N], FMN's points [N, ...], which of them it takes for adversarial [N])."""
    seen = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    dims = tuple(range(1, x.ndim))

    def look(_net: nn.Module, asked: tuple[Tensor, ...], logits: Tensor) -> None:
        inside = (asked[0].detach() - x).abs().amax(dims) <= eps + EPS_TOLERANCE
        seen.logical_or_(inside & misclassified(logits.detach(), y))

    hook = net.register_forward_hook(look)
    try:
        found = fmn(net, x, y, steps=steps, config=config)
    finally:
        hook.remove()
    silent = seen & ~(found.distance <= eps + EPS_TOLERANCE)
    points = torch.where(spread(found.found, x), found.adversarial, x)
    return silent, points, found.found
