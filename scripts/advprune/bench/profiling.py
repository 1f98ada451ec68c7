"""Where the time of an attack goes: the bench's nets, plain and compact.

The nets are not trained. What a pass costs depends on their shape alone, and all images survive
AutoAttack at a radius that is next to nothing.
"""

import cProfile
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.attacks.autoattack import autoattack
from advprune.compact.convert import for_attacks
from advprune.compact.layers import Compact, Conv, Matrix
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk

PRUNED = {
    "dense": None,
    "unstructured 0.9": ("unstructured", 0.9),
    "filters 0.75": ("filters", 0.75),
}
TINY_EPS = 1e-4
BATCHES = (1, 4, 16, 100)


class Layer(NamedTuple):
    """A step of a compact net: its weight's shape, that of its result, milliseconds, GFLOP/s."""

    name: str
    weight: tuple[int, ...]
    result: tuple[int, ...]
    ms: float
    speed: float


def report(width: int = 16, size: int = 32, batches: tuple[int, ...] = BATCHES) -> Iterator[str]:
    """Lines of a report on the CPU, for ResNet18 of this width on colour images of this size."""
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(max(batches), 3, size, size, generator=rng)
    some = images[: min(16, len(images))]
    for name, net in nets(width, size).items():
        small = for_attacks(net, some)
        yield f"{name}, milliseconds of a pass: plain, compact, ratio"
        for batch in batches:
            x, y = images[:batch], net(images[:batch]).argmax(1)
            for kind, one in (("forward", forward), ("and backward", both)):
                plain, ours = in_turn(partial(one, net, x, y), partial(one, small, x, y))
                yield f"  batch {batch:<4} {kind:13} {plain:8.2f} {ours:8.2f} {plain / ours:6.2f}"
        yield f"{name}, seconds of AutoAttack: all, forward, backward"
        for kind, one in (("plain", net), ("compact", small)):
            yield f"  {kind:9}" + "".join(f"{value:8.2f}" for value in parts(one, some))
        yield f"{name}, steps of the compact net: weight, result, milliseconds, GFLOP/s"
        for row in layers(small, some):
            shapes = f"{row.name:8} {row.weight!s:18} {row.result!s:14}"
            yield f"  {shapes} {row.ms:7.3f} {row.speed:7.1f}"


def nets(
    width: int, size: int, names: Iterable[str] = PRUNED, arch: str = "resnet18", **options: Any
) -> dict[str, nn.Module]:
    """A net whole, without 90 % of its weights, and without 75 % of its filters, or some of these.

    `options` are the net's (`models.registry.NetSpec`).
    """
    found = {}
    moments = {"mean": (0.3,) * 3, "std": (0.3,) * 3}
    images: dict[str, Any] = {"classes": 10, "channels": 3, "size": size} | moments
    for name in names:
        target = PRUNED[name]
        net = build(NetSpec(arch, width, **images, **options))
        if target:
            structure, sparsity = target
            kept = mk.rank(mk.magnitudes(net, structure), sparsity)
            mk.apply(net, mk.weight_masks(net, kept, structure))
        found[name] = net.eval().requires_grad_(False)
    return found


def forward(net: nn.Module, x: Tensor, y: Tensor) -> None:
    """Ask the net."""
    with torch.no_grad():
        net(x)


def both(net: nn.Module, x: Tensor, y: Tensor) -> None:
    """Ask the net and for the gradient of its loss by the images."""
    x = x.detach().requires_grad_()
    torch.autograd.grad(F.cross_entropy(net(x), y), x)


def in_turn(*sides: Callable[[], None], repeats: int = 9) -> list[float]:
    """Median milliseconds of this process for each side, run in turn."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for times, side in zip(seconds, sides, strict=True):
            before = time.process_time()
            side()
            times.append(1000 * (time.process_time() - before))
    return [statistics.median(times) for times in seconds]


def parts(net: nn.Module, x: Tensor) -> tuple[float, float, float]:
    """Seconds of a twentieth of AutoAttack on surviving images: all, forward, backward."""
    y, inside = net(x).argmax(1), 0.0
    plain = net.forward

    def timed(images: Tensor) -> Tensor:
        nonlocal inside
        before = time.process_time()
        logits = plain(images)
        inside += time.process_time() - before
        return logits

    profile, before = cProfile.Profile(time.process_time), time.process_time()
    net.forward = timed
    try:
        with profile:
            autoattack(net, x, y, eps=TINY_EPS, seed=0, batch_size=len(x), share=0.05)
    finally:
        del net.forward
    whole = time.process_time() - before
    profile.create_stats()
    entries = profile.stats.items()
    backward = sum(entry[2] for (_, _, name), entry in entries if "run_backward" in name)
    return whole, inside, backward


@torch.no_grad()
def layers(net: nn.Module, x: Tensor) -> Iterator[Layer]:
    """Time every step of a compact net for images x [N, C, H, W] by itself; others have none."""
    if not isinstance(net, Compact):
        return
    values = [x.contiguous(memory_format=torch.channels_last)]
    for layer, sources in zip(net.layers, net.plan, strict=True):
        inputs = [values[source] for source in sources[:2] if source is not None]
        values.append(layer(*inputs))
        (ms,) = in_turn(partial(layer, *inputs))
        weight = tuple(layer.weight.shape) if isinstance(layer, (Conv, Matrix)) else ()
        result = tuple(values[-1].shape[1:])
        yield Layer(
            type(layer).__name__, weight, result, ms, 2e-6 * products(layer, values[-1]) / ms
        )


def products(layer: nn.Module, result: Tensor) -> int:
    """Multiplications of a step with this result; none where it has no weight."""
    if isinstance(layer, Conv):
        return result.numel() * layer.weight[0].numel()
    return len(result) * layer.weight.numel() if isinstance(layer, Matrix) else 0
