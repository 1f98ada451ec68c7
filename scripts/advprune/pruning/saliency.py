"""Statistics of a trained net over (attacked) training batches: mean gradients and feature maps.

A score that looks at data is a mean over batches. The batches are drawn, augmented and attacked
here, and gradients are taken in evaluation mode: neither weights nor statistics change.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.data.batches import Batch, batches
from advprune.models.graph import companions, filter_outputs
from advprune.pruning.masks import Scores
from advprune.training.inner import pgd
from advprune.training.loop import Trainer

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Statistic = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def training_batches(
    trainer: Trainer,
    batch: int,
    rng: torch.Generator,
    count: int | None = None,
    augment: bool = False,
) -> Iterator[Batch]:
    """Yield `count` shuffled training batches (images in [0,1], labels); None: one pass.

    A count beyond one pass goes on with another one, in a new order.
    """
    left = -(-len(trainer.train) // batch) if count is None else count
    change = trainer.augment if augment else None
    while left > 0:
        for sample in batches(trainer.train, batch, generator=rng, augment=change):
            yield sample
            left -= 1
            if left == 0:
                return


def attacked_batches(
    net: nn.Module,
    trainer: Trainer,
    batch: int,
    name: str,
    count: int | None = None,
    augment: bool = False,
) -> Iterator[Batch]:
    """Yield training batches as `training_batches` does, turned into PGD examples of the net.

    The threat is the one of training; `name` names the randomness. An example is made when it is
    asked for, so it attacks the net as it is at that moment.
    """
    rng = trainer.rng(name)
    for x, y in training_batches(trainer, batch, rng, count, augment):
        with torch.enable_grad():  # a score is often taken where no gradient is
            attacked = pgd(net, x, y, trainer.threat, rng)
        yield attacked, y


@contextmanager
def evaluating(net: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode inside, with parameter gradients; every module's mode as before after."""
    training = [(module, module.training) for module in net.modules()]
    try:
        yield net.eval()
    finally:
        for module, flag in training:
            module.training = flag


def cross_entropy(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of a batch."""
    return F.cross_entropy(net(x), y)


def mean_gradients(
    net: nn.Module,
    samples: Iterable[Batch],
    loss: Loss = cross_entropy,
    statistic: Statistic = lambda gradients: gradients,
) -> dict[str, Tensor]:
    """Mean over the batches of `statistic(gradients)`, each batch weighted by its images.

    The gradients of `loss(net, x, y)` are by parameter name; so is what comes back if the
    statistic keeps the names. The `grad` fields of the parameters are left alone.
    """
    named = {n: p for n, p in net.named_parameters() if p.requires_grad}
    totals: dict[str, Tensor] = {}
    images = 0
    with evaluating(net):
        for x, y in samples:
            found = torch.autograd.grad(
                loss(net, x, y), list(named.values()), materialize_grads=True
            )
            for name, term in statistic(dict(zip(named, found, strict=True))).items():
                totals[name] = totals.get(name, 0) + len(y) * term.detach()
            images += len(y)
    return {name: total / images for name, total in totals.items()}


def filter_sums(net: nn.Module, terms: Mapping[str, Tensor]) -> Scores:
    """Sum of the terms over each filter's whole group: its weights and, if any, its BatchNorm pair.

    `terms` holds tensors of the parameters' shapes by parameter name. With gradient · parameter
    this is the first-order change of the loss when the filter is taken out. Scale and shift belong
    to the group: BatchNorm hides the scale of a filter, so the sum over its weights alone is zero
    in training mode.
    """
    sums = {}
    for name, partners in companions(net).items():
        sums[name] = terms[f"{name}.weight"].flatten(1).sum(1)
        for partner in partners:
            sums[name] = sums[name] + terms[partner]
    return sums


@contextmanager
def behind_filters(net: nn.Module, react: Callable[[str, Tensor], Tensor | None]) -> Iterator[None]:
    """Call `react(convolution, map)` inside for its map [B, C, H, W], behind its BatchNorm if any.

    The map goes on as what is returned, or as it is if nothing is.
    """
    handles = [
        net.get_submodule(out).register_forward_hook(
            lambda _module, _inputs, output, conv=conv: react(conv, output)
        )
        for conv, out in filter_outputs(net).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def feature_maps(net: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Give every convolution's map [B, C, H, W] of the latest forward pass, by its name.

    A map is taken after the convolution's own BatchNorm, if it has one, and ReLU, and before any
    addition: it is the filter's own. Maps can be differentiated if the forward pass can.
    """
    maps: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        maps[name] = output.relu()

    with behind_filters(net, keep):
        yield maps


@contextmanager
def gated(net: nn.Module, gate: Callable[[str], Tensor | None]) -> Iterator[None]:
    """Multiply the channels behind each convolution by `gate(name)` [C], where it gives one.

    The product is taken behind the convolution's own BatchNorm, if it has one. Entered inside
    `feature_maps`, it leaves the maps there as they are without gates.
    """

    def close(name: str, output: Tensor) -> Tensor | None:
        open_ = gate(name)
        return None if open_ is None else output * open_.view(1, -1, 1, 1)

    with behind_filters(net, close):
        yield
