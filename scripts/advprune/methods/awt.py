"""AWT (Shi et al. 2022, arXiv 2202.06488): a ticket with the dynamics of adversarial training.

prune      f_d ← the net at θ₀, held still;  w ← θ₀,  m ← the largest |w| of each layer
           each batch:  x̃ ← PGD on f_d;  a step of w down
               ‖f(x̃; m·w) − f_d(x̃)‖² / ‖f_d‖² + κ ‖K − K_d‖² / ‖K_d‖² + λ / (1 − s) ‖m·w‖²
               K(x, x̃) = J(x) J(x̃)ᵀ,  J the Jacobian of f in all it can use: the weights that m
               keeps, biases, BatchNorm's scales and shifts
           every so often  m ← the largest |w| of each layer
train      the ticket (w, m) by PGD training (the default)

K of a batch is too large to hold. For Gaussian u, v with one entry per image and class, uᵀKv is
the product of the gradients of u·f(x) and v·f(x̃), and the mean of (uᵀKv)² is ‖K‖².
"""

import copy
from itertools import islice

import torch
from torch import Tensor, nn

from advprune.data.batches import batches
from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Units
from advprune.pruning.parametrization import parametrised, parts_on
from advprune.pruning.tickets import Keep, measure_statistics
from advprune.training.inner import pgd
from advprune.training.loop import Hook, Loop

SCALE_BATCHES = 16
INERT = 0.9  # relative kernel distance, 1 for a net without logits, above which nothing is matched


def probe(
    net: nn.Module, x: Tensor, attacked: Tensor, u: Tensor, v: Tensor, graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Logits of `attacked` [B,C], and uᵀKv between the first images of `x` and the last attacked.

    `u` [n,C] and `v` [m,C] say how many are meant. With `graph` both results are differentiable.
    """
    parameters = list(net.parameters())
    logits = net(attacked)
    right = torch.autograd.grad((logits[-len(v) :] * v).sum(), parameters, create_graph=graph)
    left = torch.autograd.grad((net(x[: len(u)]) * u).sum(), parameters, create_graph=graph)
    products = ((a * b).sum() for a, b in zip(left, right, strict=True))
    return logits, sum(products, start=logits.new_zeros(()))


class Transfer(Hook):
    """Objective and schedule of the search: the student's masks are the parametrizations `Keep`."""

    state = ("done",)  # the masks are part of the net

    def __init__(self, teacher: nn.Module, task: Task) -> None:
        self.teacher, self.task = teacher.eval(), task
        self.classes = list(mk.weights(teacher).values())[-1].shape[0]
        self.scale = torch.ones(2)
        self.done = 0
        self.totals: list[Tensor] = []

    def distances(
        self, student: nn.Module | None, x: Tensor, y: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Mean squared distances of logits and of kernel entries [2]; no student counts as zero.

        The kernel is that between one half of the images and the attacked other half, so that no
        image meets itself.
        """
        attacked = pgd(self.teacher, x, y, self.task.trainer.threat, rng)
        half = len(x) // 2
        sizes = ((n, self.classes) for n in (half, len(x) - half))
        u, v = (torch.randn(size, generator=rng, device=x.device) for size in sizes)
        logits, kernel = (t.detach() for t in probe(self.teacher, x, attacked, u, v))
        if student is not None:
            found = probe(student, x, attacked, u, v, graph=True)
            logits, kernel = found[0] - logits, found[1] - kernel
        return torch.stack([logits.square().mean(), kernel.square() / (u.numel() * v.numel())])

    def measure_scale(self, rng: torch.Generator) -> None:
        """Set the teacher's own mean squares, which make the distances relative."""
        trainer, size = self.task.trainer, self.task.recipes["prune"].batch
        images = batches(trainer.train, size, generator=rng, augment=trainer.augment)
        found = [self.distances(None, x, y, rng) for x, y in islice(images, SCALE_BATCHES)]
        self.scale = torch.stack(found).mean(0)

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Relative distances of a batch, weighted; statistics stay those of the teacher."""
        net.eval()
        relative = self.distances(net, x, y, generator) / self.scale
        self.totals.append(relative.detach())
        return relative[0] + self.task.params["kernel_weight"] * relative[1]

    def penalty(self, loop: Loop) -> Tensor:
        """Squared norm of the surviving weights, over the density."""
        layers = mk.prunable(loop.net, self.task.structure).values()
        norm = sum(layer.weight.square().sum() for layer in layers)
        return self.task.params["ridge"] / (1 - self.task.sparsity) * norm

    def after_step(self, loop: Loop) -> None:
        """Draw the masks anew `refreshes` times, evenly over the phase."""
        due = loop.due(self.task.params["refreshes"])
        if due > self.done:
            self.done = due
            for layer in mk.prunable(loop.net, self.task.structure).values():
                for part, weight in parts_on(layer, Keep):
                    part.mask = mk.top_k(weight.detach().abs(), int(part.mask.sum()))

    def settled(self, loop: Loop) -> bool:
        """After the last drawing of the masks."""
        return self.done == self.task.params["refreshes"]

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log the epoch's mean relative distances."""
        logits, kernel = torch.stack(self.totals).mean(0).tolist()
        record |= {"logit_distance": logits, "kernel_distance": kernel}
        self.totals = []


class AdversarialWinningTicket(Method):
    """Magnitude of initial weights that were moved until the sparse net mimics the dense one."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Search without labels but for the attack, and keep the moved weights."""
        start = copy.deepcopy(net.state_dict())
        measure_statistics(net, task.trainer, task.recipes["prune"].batch)
        transfer = Transfer(copy.deepcopy(net), task)
        transfer.measure_scale(task.trainer.rng("scale"))
        units = mk.rank(mk.magnitudes(net, task.structure), task.sparsity, floor=1)
        with parametrised(net, task.structure, lambda name, _: Keep(units[name])) as parts:
            epochs = task.fit(net, "prune", objective=transfer, hooks=[transfer])
        if epochs and not (last := epochs[-1]["kernel_distance"]) <= INERT:  # or not a number
            task.mark(f"the search did not match the kernel: its relative distance is {last:.2f}")
        units = Units({name: part.mask for name, part in parts.items()})
        if task.params["rewind"]:
            net.load_state_dict(start)
        return mk.weight_masks(net, units, task.structure)


METHOD = AdversarialWinningTicket()
