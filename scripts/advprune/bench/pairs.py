"""Benchmarks: our path against the plain one, on the same nets and images, answers compared.

The two sides of a pair run in turn in one process. On a CPU the time is that of this process, so
that other work on the machine counts little; on a GPU it is the wall clock. The nets are trained
here on scikit-learn's digits, enlarged to 32×32 in three colours: no download, and weights that
are no noise.
"""

import statistics
import sys
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyautoattack
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from advprune.attacks.autoattack import autoattack, shorten
from advprune.attacks.fmn import fmn
from advprune.attacks.verdicts import robust_at
from advprune.bench.profiling import PRUNED
from advprune.bench.timing import clock, race
from advprune.compact.convert import for_attacks
from advprune.data.batches import Augment, to_float
from advprune.data.dataset import Split
from advprune.data.sets import digits
from advprune.models.precision import EXACT, arithmetic
from advprune.models.registry import NetSpec, build
from advprune.plan.specs import Recipe, Threat
from advprune.pruning import masks as mk
from advprune.training.loop import Hook, Loop, Trainer, gradient
from advprune.training.objectives.fgsm import Fgsm
from advprune.training.objectives.pgd import PgdAt

EPS = 0.05  # of the attacks; training sees twice as much
SEED = 7
BATCH = 384  # of AutoAttack, at most


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    width: int = 16
    train: int = 1344  # images that the nets are trained on
    attacked: int = 16
    share: float = 0.05  # of AutoAttack's iterations and queries
    steps: int = 30  # of FMN
    epoch: int = 256  # images of the timed training epoch
    repeats: int = 3
    searched: int = 200  # images of the pair in bfloat16, where verdicts may differ


# a pass at width 64 costs many times one at 16, so less is measured, and once
SIZES = {
    "cpu": (Size(), Size(width=64, train=672, epoch=128, repeats=1)),
    "cuda": (Size(width=64, attacked=384, share=0.2, epoch=1344, searched=384),),
}


class Bench:
    """Nets and images, and the pairs that are measured on them."""

    NETS = tuple(PRUNED)

    def __init__(self, size: Size, device: torch.device) -> None:
        """Take the images; nets are trained when a pair asks for them."""
        self.size, self.device = size, device
        train, labels, test, test_labels = digits.read(None, Path())[:4]
        data = Split(_enlarged(train), torch.from_numpy(labels)).to(device)
        self.train = data.take(size.train)
        self.val = Split(data.images[size.train :], data.labels[size.train :]).take(56)
        held = Split(_enlarged(test), torch.from_numpy(test_labels)).to(device)
        self.held = held.take(max(size.attacked, size.searched))
        self.x, self.y = self._attacked(size.attacked)
        moments = (0.3,) * 3, (0.3,) * 3
        self.spec = NetSpec("resnet18", size.width, 10, 3, 32, *moments)
        self._nets: dict[str, nn.Module] = {}

    def net(self, name: str) -> nn.Module:
        """A net of `NETS`: dense, 90 % of the weights removed, or 75 % of the filters removed."""
        if name not in self._nets:
            target = PRUNED[name]
            self._nets[name] = self._pruned(*target) if target else self._dense()
        return self._nets[name]

    @property
    def threat(self) -> Threat:
        """PGD-10."""
        return Threat(2 * EPS, EPS / 2, 10)

    def autoattack_bf16(self) -> dict[str, Any]:
        """The plain library in float32 against our search in bfloat16, on more images."""
        return self.autoattack("dense", self.size.searched, "bf16")

    def autoattack(
        self, name: str, images: int | None = None, precision: str = EXACT
    ) -> dict[str, Any]:
        """AutoAttack by the plain library on a net as it is against our path."""
        net, share = self.net(name), self.size.share
        x, y = self._attacked(images or self.size.attacked)
        small, seconds = self._compact(net)
        settings: dict[str, Any] = {"seed": SEED, "batch_size": BATCH, "share": share}

        def plain() -> Tensor:
            with torch.random.fork_rng(), arithmetic(EXACT):
                engine = pyautoattack.AutoAttack(
                    net, norm="Linf", eps=EPS, seed=SEED, device=self.device
                )
                shorten(engine, share)
                _, found = engine.run_standard_evaluation(x, y, batch_size=BATCH)
            return found == y

        def ours() -> Tensor:
            return autoattack(small, x, y, eps=EPS, precision=precision, **settings).robust

        figures, expected, found = race(plain, ours, self.size.repeats, self.device)
        flips = (expected != found).nonzero().flatten().tolist()
        return figures | {
            "images": len(x),
            "share": share,
            "robust": int(found.sum()),
            "flips": flips,
            "compact_seconds": seconds,
        }

    def fmn(self) -> dict[str, Any]:
        """FMN of adv-lib on the net as it is against ours; other steps, so other distances."""
        steps = self.size.steps
        sys.modules.setdefault("visdom", types.ModuleType("visdom"))  # imported there, not used
        from adv_lib.attacks import fmn as library_fmn

        dense = self.net("dense")
        small, _ = self._compact(dense)

        def distances(found: Tensor) -> Tensor:
            return (found - self.x).abs().flatten(1).amax(1)

        def plain() -> Tensor:
            with arithmetic(EXACT):
                points = library_fmn(dense, self.x, self.y, norm=float("inf"), steps=steps)
            wrong = dense(points).argmax(1) != self.y
            return torch.where(wrong, distances(points), torch.inf).detach()

        def ours() -> Tensor:
            return fmn(small, self.x, self.y, steps=steps).distance

        figures, expected, found = race(plain, ours, self.size.repeats, self.device)
        verdicts = [robust_at(d.cpu(), EPS) for d in (expected, found)]
        return figures | {
            "steps": steps,
            "median_distance": {
                "plain": expected.median().item(), "ours": found.median().item()
            },
            "robust": [int(v.sum()) for v in verdicts],
        }  # fmt: skip

    def curve(self) -> dict[str, Any]:
        """One point of AutoAttack in full against a whole curve by FMN with 100 steps."""
        x, y = self.x[:8], self.y[:8]
        small, _ = self._compact(self.net("dense"))
        return race(
            lambda: autoattack(small, x, y, eps=EPS, seed=SEED, batch_size=len(x)),
            lambda: fmn(small, x, y, steps=100),
            1,
            self.device,
        )[0]

    def epoch(self, precision: str = EXACT) -> dict[str, Any]:
        """One epoch of PGD-10 training by a textbook loop against ours, from the same weights.

        The textbook's is in float32, ours in `precision`.
        """
        subset = self.train.take(self.size.epoch)
        start = {k: v.clone() for k, v in self.net("dense").state_dict().items()}

        def load() -> nn.Module:
            net = self._fresh()
            net.load_state_dict(start)
            return net

        def ours() -> float:
            objective = PgdAt(self.threat)
            return self._fit(load(), objective, 1, data=subset, precision=precision)["loss"]

        figures, expected, found = race(
            lambda: textbook_epoch(load(), subset, self.threat),
            ours,
            self.size.repeats,
            self.device,
        )
        return figures | {"images": len(subset), "loss": [round(expected, 4), round(found, 4)]}

    def _attacked(self, count: int) -> tuple[Tensor, Tensor]:
        """The first test images and their labels."""
        first = self.held.take(count)
        return to_float(first.images), first.labels

    def _compact(self, net: nn.Module) -> tuple[nn.Module, float]:
        """Return the compact net and the seconds that it takes once for every attack job."""
        before = clock(self.device)
        small = for_attacks(net, self.x)
        return small, round(clock(self.device) - before, 4)

    def _fresh(self) -> nn.Module:
        return build(self.spec, torch.Generator().manual_seed(SEED)).to(self.device)

    def _dense(self) -> nn.Module:
        net = self._fresh()
        self._fit(net, Fgsm(self.threat, True), epochs=3)
        return net

    def _pruned(self, structure: str, sparsity: float) -> nn.Module:
        """Smallest weights or filters removed, and some epochs to recover."""
        net = self._fresh()
        net.load_state_dict(self.net("dense").state_dict())
        masks = mk.weight_masks(net, mk.rank(mk.magnitudes(net, structure), sparsity), structure)
        mk.apply(net, masks)
        self._fit(net, Fgsm(self.threat, True), epochs=4, hooks=[_Masked(masks)])
        return net

    def _fit(
        self,
        net: nn.Module,
        objective: Any,
        epochs: int,
        hooks: Any = (),
        data: Any = None,
        precision: str = EXACT,
    ) -> dict[str, float]:
        recipe = Recipe(epochs=epochs, batch=64, lr=0.05, schedule="onecycle")
        with tempfile.TemporaryDirectory() as folder:
            # the monitor is no part of the textbook's epoch
            val = self.val.take(2) if data else self.val
            trainer = Trainer(
                data or self.train,
                val,
                Augment(2, False),
                self.threat,
                SEED,
                Path(folder),
                precision=precision,
            )
            return trainer.fit(net, objective, recipe, "bench", hooks)[-1]


class _Masked(Hook):
    def __init__(self, masks: mk.Masks) -> None:
        self.masks = masks

    def after_step(self, loop: Loop) -> None:
        mk.apply(loop.net, self.masks)


def textbook_epoch(net: nn.Module, split: Split, threat: Threat) -> float:
    """Adversarial training as tutorials have it; returns the mean loss."""
    loader = DataLoader(TensorDataset(to_float(split.images), split.labels), 64, shuffle=True)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    losses = []
    net.train()
    for x, y in loader:
        offset = torch.empty_like(x).uniform_(-threat.eps, threat.eps).requires_grad_()
        for _ in range(threat.steps):
            F.cross_entropy(net((x + offset).clamp(0, 1)), y).backward()
            step = offset.detach() + threat.step * gradient(offset).sign()
            offset.data = step.clamp(-threat.eps, threat.eps)
            gradient(offset).zero_()
        optimizer.zero_grad()
        loss = F.cross_entropy(net((x + offset.detach()).clamp(0, 1)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return statistics.mean(losses)


def _enlarged(images: np.ndarray) -> Tensor:
    """Images uint8 [N, 1, 8, 8] as [N, 3, 32, 32]."""
    large = F.interpolate(torch.from_numpy(images).float(), scale_factor=4, mode="bilinear")
    return large.expand(-1, 3, -1, -1).round().to(torch.uint8)
