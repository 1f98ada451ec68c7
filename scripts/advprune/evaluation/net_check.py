"""Whether a net can be pruned, recounted and attacked: found out in a second, before it is trained.

A fresh net with the statistics of a trained one is masked at random in every structure and goes
through the audit and through compaction. Nothing is trained and no image is read.
"""

import copy
import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.compact.convert import agree, compact
from advprune.evaluation.audit import audit
from advprune.models.graph import macs, running, trace
from advprune.models.normalize import Normalize
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk

log = logging.getLogger("advprune")

SPARSITY = 0.9
IMAGES = 4


def check_net(spec: NetSpec, structures: Iterable[str]) -> dict[str, Any]:
    """Take a fresh net of `spec` through masks, audit and compaction in each of the structures.

    What does not hold is a UserError of one line. Returns the net's description, its numbers of
    parameters and of multiply-accumulates per image, the structures that it has units of, and
    whether attacks can use a compact copy: without one they are right but several times slower,
    so that is no error but a warning in the log.
    """
    name, image = f"net {spec.arch}", (spec.channels, spec.size, spec.size)
    try:
        net = _as_trained(build(spec))
        x = torch.rand(IMAGES, *image, generator=torch.Generator().manual_seed(0))
        _check_forward(net, x, spec.classes)
        _check_layers(net)
        _check_gradients(net, x)
        _check_idle(net, x)
        small = _is_compact(net, image)
        has = [s for s in structures if mk.prunable(net, s)]
        for structure in has:
            _check_pruned(copy.deepcopy(net), x, structure, small)
        counts = {"parameters": sum(p.numel() for p in net.parameters())}
        counts["macs"] = sum(macs(net, image).values())
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:  # a net's own code may fail in every way there is
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{name}: {type(error).__name__}: {reason}") from error
    return {"net": spec.to_dict(), **counts, "structures": has, "compact": small}


def _as_trained(net: nn.Module) -> nn.Module:
    """The net in eval mode with running statistics, scales, shifts and biases that are not 0 or 1.

    A fresh net's shifts are zero, and what forgets to remove or to fold them would pass.
    """
    rng = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            mean, variance = running(module)
            mean.normal_(0, 0.3, generator=rng)
            variance.uniform_(0.5, 2, generator=rng)
            module.weight.data.uniform_(-1.5, 1.5, generator=rng)
            module.bias.data.normal_(0, 0.3, generator=rng)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.data.normal_(0, 0.3, generator=rng)
    return net.eval()


@torch.no_grad()
def _check_forward(net: nn.Module, x: torch.Tensor, classes: int) -> None:
    logits = net(x)
    if logits.shape != (len(x), classes):
        raise UserError(f"its logits are {list(logits.shape)}, not {[len(x), classes]}")
    if not logits.isfinite().all():
        raise UserError("its logits are not finite")


def _check_layers(net: nn.Module) -> None:
    """What is counted and masked must be called once; who attacks works on images in [0,1]."""
    try:
        nodes = list(trace(net).nodes)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"torch.fx cannot trace it ({reason})") from None
    modules = dict(net.named_modules())
    called = [node.target for node in nodes if node.op == "call_module"]
    for name in mk.prunable(net, "unstructured"):
        if called.count(name) != 1:
            raise UserError(f"layer {name} is called {called.count(name)} times, not once")
    reads = next(node for node in nodes if node.op == "placeholder").users
    if not all(isinstance(modules.get(str(node.target)), Normalize) for node in reads):
        raise UserError("its images must go through `normalize` first")


def _check_gradients(net: nn.Module, x: torch.Tensor) -> None:
    """Every parameter must be trained."""
    trained = copy.deepcopy(net).train()
    labels = torch.zeros(len(x), dtype=torch.long)
    F.cross_entropy(trained(x), labels).backward()
    idle = [name for name, p in trained.named_parameters() if p.grad is None]
    if idle:
        raise UserError(f"the loss does not depend on {', '.join(idle[:3])}")


def _check_idle(net: nn.Module, x: torch.Tensor) -> None:
    """Every prunable weight must act, or the sparsity counts weights that pruning cannot miss.

    With equal positive weights and a positive input nothing cancels and no rectifier closes: a
    gradient of exactly zero is a weight that never meets anything but padding. A maximum would
    hide what the places feed that it does not choose, and all are alike here: it is a mean.
    """
    positive = copy.deepcopy(net)
    for name, module in list(positive.named_modules()):
        if isinstance(module, nn.MaxPool2d) and module.dilation == 1:
            geometry = module.kernel_size, module.stride, module.padding, module.ceil_mode
            positive.set_submodule(name, nn.AvgPool2d(*geometry))
    for module in positive.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, module.weight.shape[0] / module.weight.numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Normalize):
            module.mean.zero_()
    weights = {n: layer.weight for n, layer in mk.prunable(positive, "unstructured").items()}
    found = torch.autograd.grad(positive((1 + x) / 2).sum(), list(weights.values()))
    for name, gradient in zip(weights, found, strict=True):
        idle = int((gradient == 0).sum())
        if idle:
            raise UserError(
                f"{idle} of {gradient.numel()} weights of {name} never act on images of "
                f"{x.shape[-1]} pixels"
            )


def _is_compact(net: nn.Module, image: tuple[int, int, int]) -> bool:
    try:
        compact(net, image)
    except ValueError as error:
        log.warning("attacks will be several times slower: %s", error)
        return False
    return True


def _check_pruned(net: nn.Module, x: torch.Tensor, structure: str, small: bool) -> None:
    """Mask random units of a net and expect the audit to find them and the copy to agree."""
    rng = torch.Generator().manual_seed(0)
    magnitudes = mk.magnitudes(net, structure)
    scores = {name: torch.rand(units.shape, generator=rng) for name, units in magnitudes.items()}
    masks = mk.weight_masks(net, mk.rank(scores, SPARSITY), structure)
    mk.apply(net, masks)
    _, channels, height, width = x.shape
    image = channels, height, width
    reasons = audit(net, image, structure, SPARSITY)["reasons"]
    if reasons:
        raise UserError(f"{SPARSITY:.0%} of its {structure} masked, but {'; '.join(reasons)}")
    if small:
        try:
            agree(net, compact(net, image), x)
        except RuntimeError as error:
            raise UserError(f"{SPARSITY:.0%} of its {structure} masked: {error}") from None
