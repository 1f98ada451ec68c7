"""The decision boundary: which points lie beyond it, and losses that lead there."""

import math
from collections.abc import Callable

from torch import Tensor

from advprune.base.errors import UserError

TINY = 1e-12


def misclassified(logits: Tensor, y: Tensor) -> Tensor:
    """Bool [B]: the arg-max is not the label; logits that are not finite are no right answer."""
    return (logits.argmax(1) != y) | ~logits.isfinite().all(1)


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Logit difference [B]: label's logit minus the best other one, positive while correct."""
    return logits.gather(1, y[:, None]).squeeze(1) - _others(logits, y).amax(1)


def _others(logits: Tensor, y: Tensor) -> Tensor:
    return logits.scatter(1, y[:, None], -math.inf)


def _logit_difference(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    gap = margin(logits, y)
    return -gap, gap


def _cross_entropy(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # log((1 - p_y) / p_y) rises with -log p_y, so its normalised gradient per sample is that of
    # the cross-entropy, but it does not vanish where p_y rounds to 1
    soft = _others(logits, y).logsumexp(1) - logits.gather(1, y[:, None]).squeeze(1)
    return soft, margin(logits, y)


def _logit_ratio(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # DLR, Croce & Hein 2020 (arXiv 2003.01690, eq. 6)
    if logits.shape[1] < 3:
        raise UserError("the DLR loss needs at least three classes")
    top = logits.topk(3, dim=1).values
    gap = margin(logits, y) / (top[:, 0] - top[:, 2] + TINY)
    return -gap, gap


# name -> (logits, y) -> (what to ascend [B], a value [B] that is 0 on the decision boundary and
# divided by the ascent's gradient norm estimates the distance to it)
LOSSES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "LL": _logit_difference,
    "CE": _cross_entropy,
    "DLR": _logit_ratio,
}
