"""The gate: what a saved checkpoint really holds, recounted from its weights.

Nothing here trusts the masks or the name of the file: zeros are counted in the tensors on disk, and
the masks are held against them.
"""

from typing import Any

import torch
from torch import nn

from advprune.evaluation import claims
from advprune.models.checkpoint import is_finite
from advprune.models.graph import companions, macs
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.structures import named

TOLERANCE = 0.001  # a target may be missed by a tenth of a percentage point


def units(net: nn.Module, structure: str) -> dict[str, tuple[int, int]]:
    """(removed, total) units per prunable layer.

    A weight is removed when it is zero. A filter is removed when its weights are zero and so are
    scale and shift of its own BatchNorm, if it has one; an input channel when all weights that read
    it are, a kernel when all its weights are.
    """
    kind = named(structure)
    parameters, partners = dict(net.named_parameters()), companions(net)
    found = {}
    for name, weight in mk.weights(net, structure).items():
        alive = kind.occupied(weight)
        if kind.batchnorm:
            for partner in partners[name]:
                alive |= parameters[partner] != 0
        found[name] = (alive.numel() - int(alive.sum()), alive.numel())
    return found


def mask_reasons(net: nn.Module, masks: Masks, structure: str, achieved: float) -> list[str]:
    """What the saved masks say that the weights do not; `achieved` is the share that is removed."""
    reasons = []
    if broken := mk.violations(net, masks):
        reasons.append(f"not zero where the mask removes them: weights of {', '.join(broken)}")
    kind, weights = named(structure), mk.weights(net, structure)
    kept, total = mk.count(
        kind.occupied(masks.get(f"{name}.weight", torch.ones_like(weight)))
        for name, weight in weights.items()
    )
    if abs(1 - kept / total - achieved) > TOLERANCE:
        reasons.append(f"the masks remove {1 - kept / total:.4f}, zero are {achieved:.4f}")
    return reasons


@torch.no_grad()
def audit(
    net: nn.Module,
    image: tuple[int, int, int],
    structure: str,
    sparsity: float,
    masks: Masks | None = None,
    counted: str = "",
) -> dict[str, Any]:
    """Recount a net against its pruning target and, where it has them, its masks.

    `counted` is the rule of `claims` by which the target was counted, "" for ours. Returns
    parameter and non-zero counts of the whole net, the prunable weights' and the target units'
    sparsity, both also per layer, `macs` of the layers as they are and `effective_macs` if zero
    weights were skipped (theoretical: no dense kernel skips them), and reasons for a flag.
    """
    pruned = "unstructured" if structure == "none" else structure
    layers = units(net, pruned)
    zeros = units(net, "unstructured")
    removed, total = (sum(column) for column in zip(*layers.values(), strict=True))
    achieved = removed / total
    parameters = list(net.parameters())
    dense = macs(net, image)
    left = {n: round(m * (1 - zeros[n][0] / zeros[n][1])) for n, m in dense.items()}
    reasons = []
    theirs = _by_their_rule(net, image, counted) if counted else {}
    held = theirs.get("sparsity_claimed", achieved) if counted in ("", *claims.HELD) else sparsity
    # counts are rounded within each layer, so each may be off by less than one unit
    if abs(held - sparsity) > max(TOLERANCE, len(layers) / total):
        reasons.append(f"sparsity is {held:.4f} instead of {sparsity:g}")
    if masks:
        reasons += mask_reasons(net, masks, pruned, achieved)
    if not is_finite(net):
        reasons.append("the net holds numbers that are not finite")
    return {
        "params": sum(p.numel() for p in parameters),
        "nonzero": sum(int((p != 0).sum()) for p in parameters),
        "prunable": sum(n for _, n in zeros.values()),
        "prunable_nonzero": sum(n - z for z, n in zeros.values()),
        "structure": structure,
        "sparsity": sparsity,
        "sparsity_achieved": achieved,
        **theirs,
        "macs": sum(dense.values()),
        "effective_macs": sum(left.values()),
        "layers": {
            name: {
                "removed": removed,
                "units": n,
                "zeros": zeros[name][0],
                "weights": zeros[name][1],
            }
            for name, (removed, n) in layers.items()
        },
        "reasons": reasons,
    }


def _by_their_rule(net: nn.Module, image: tuple[int, int, int], rule: str) -> dict[str, Any]:
    """The share that a net's makers count, and filters that their rule counts and ours does not."""
    found: dict[str, Any] = {"counted": rule, "sparsity_claimed": claims.share(net, rule, image)}
    if rule == "filters":
        constant, filters = claims.constant_filters(net)
        found |= {"filters": filters, "constant_filters": constant}
    return found
