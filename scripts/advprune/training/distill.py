"""Learning from a dense teacher: distillation, and the HSIC bottleneck on hidden layers.

Both are objectives for the training loop. `Distilled` replaces labels by a teacher's soft ones;
`Bottleneck` adds to any objective a measure of how much hidden layers depend on the inputs and on
the labels (Jian et al. 2022, PwoA; Wang et al. 2021, HBaR).
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.models.blocks import Residual
from advprune.training.objective import Objective, begin

Attack = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Hinton's distillation: T² times the batch mean of KL(teacher ‖ student), softened by T.

    Both arguments are logits [B, classes].
    """
    soft, target = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return temperature**2 * F.kl_div(soft, target, reduction="batchmean", log_target=True)


class Distilled:
    """Objective: `weight` · distillation from `teacher` + `labels` · cross-entropy.

    The teacher is copied and held still in evaluation mode; it always sees the clean images. The
    net sees them too, or what `attack(net, x, y, generator)` makes of them; `single_step` says
    what `objective.single_step` asks.
    """

    def __init__(
        self,
        teacher: nn.Module,
        temperature: float,
        weight: float = 1.0,
        labels: float = 0.0,
        attack: Attack | None = None,
        single_step: bool = False,
    ) -> None:
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.temperature, self.weight, self.labels = temperature, weight, labels
        self.attack, self.single_step = attack, single_step

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Weighted sum of both terms, batch means."""
        logits = net(self.attack(net, x, y, generator) if self.attack else x)
        with torch.no_grad():
            wanted = self.teacher(x)
        loss = self.weight * kd_loss(logits, wanted, self.temperature)
        return loss + self.labels * F.cross_entropy(logits, y) if self.labels else loss


def gaussian_kernel(rows: Tensor, sigma: float) -> Tensor:
    """exp(−‖a − a'‖² / (2 σ² d)) between the rows of a [m, d] matrix."""
    squares = rows.square().sum(1)
    distances = squares[:, None] + squares[None] - 2 * rows @ rows.T
    return torch.exp(-distances.clamp(min=0) / (2 * sigma**2 * rows.shape[1]))


def normalised(kernel: Tensor, ridge: float = 1e-5) -> Tensor:
    """R = K H (K H + ridge · m · I)⁻¹ with H = I − 11ᵀ/m; centred on one side, as the authors."""
    m = len(kernel)
    centred = kernel - kernel.mean(dim=1, keepdim=True)
    shift = ridge * m * torch.eye(m, dtype=kernel.dtype, device=kernel.device)
    return torch.linalg.solve(centred + shift, centred, left=False)


def nhsic(first: Tensor, second: Tensor) -> Tensor:
    """Normalised HSIC of two batches from their `normalised` kernels: trace(R₁ R₂)."""
    return (first * second.T).sum()


@contextmanager
def hidden(net: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect hidden representations of the forward passes inside; the last pass stays.

    With residual blocks: the input of every block, the output of the last one, the pooled features
    (ten for ResNet18). Otherwise (VGG): every pooled stage and every activation of the head. Named
    by the layer that reads them, or by the last block or the pooling that makes them.
    """
    found: dict[str, Tensor] = {}

    def keep_input(name: str) -> Callable:
        return lambda module, given: found.__setitem__(name, given[0])

    def keep_output(name: str) -> Callable:
        return lambda module, given, made: found.__setitem__(f"{name} out", made)

    modules = dict(net.named_modules())
    blocks = [name for name, module in modules.items() if isinstance(module, Residual)]
    head = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    if blocks:
        read, made = [*blocks, head[-1]], [blocks[-1]]
    else:
        read = head[1:]
        made = [name for name, module in modules.items() if isinstance(module, nn.MaxPool2d)]
    handles = [modules[name].register_forward_pre_hook(keep_input(name)) for name in read]
    handles += [modules[name].register_forward_hook(keep_output(name)) for name in made]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class Bottleneck:
    """Objective: `base` + inputs · Σ nHSIC(X, Z) − labels · Σ nHSIC(Y, Z) over hidden layers Z.

    Gaussian kernels on images and hidden layers, a linear one on the labels. In double precision:
    the inverse loses most digits of a float.
    """

    def __init__(self, base: Objective, inputs: float, labels: float, sigma: float) -> None:
        self.base, self.inputs, self.labels, self.sigma = base, inputs, labels, sigma

    def begin(self, net: nn.Module, rng: torch.Generator) -> nn.Module:
        """Return the companion of `base`."""
        return begin(self.base, net, rng)

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Loss of `base` with the regulariser on the hidden layers of its last forward pass."""
        with hidden(net) as layers:
            loss = self.base.loss(net, x, y, generator)
        images = self._kernel(x)
        classes = F.one_hot(y).double()
        labels = normalised(classes @ classes.T)
        for layer in layers.values():
            own = self._kernel(layer)
            loss = loss + self.inputs * nhsic(images, own) - self.labels * nhsic(labels, own)
        return loss

    def _kernel(self, batch: Tensor) -> Tensor:
        return normalised(gaussian_kernel(batch.flatten(1).double(), self.sigma))
