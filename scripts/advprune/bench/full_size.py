"""The bench at full size: AutoAttack on a whole test set, and one epoch of PGD-10 training.

What takes a day on a CPU and minutes on a GPU has no plain side to race against. A ResNet18 is
first trained with single-step attacks: what AutoAttack costs depends on how many images survive,
and of a net that has not learnt to resist none do.
"""

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advprune.attacks.autoattack import autoattack
from advprune.bench.timing import clock
from advprune.compact.convert import for_attacks
from advprune.data.batches import Augment, to_float
from advprune.data.dataset import TestData, TrainingData
from advprune.models.registry import NetSpec, build
from advprune.plan.specs import Recipe, Threat
from advprune.training.loop import Trainer
from advprune.training.objectives.fgsm import Fgsm
from advprune.training.objectives.pgd import PgdAt

SEED = 7
EPS, STEP = 8 / 255, 2 / 255


@dataclass(frozen=True)
class FullSize:
    """How much is measured; `share` is that of AutoAttack's iterations and queries."""

    width: int = 64
    epochs: int = 15  # of single-step training
    steps: int = 10  # of PGD in the timed epoch
    batch: int = 128
    attack_batch: int = 1000
    share: float = 1.0


def measure(
    data: TrainingData, held: TestData, size: FullSize, device: torch.device
) -> dict[str, Any]:
    """Seconds of the epoch, and of AutoAttack searching in each precision.

    `flips` are images whose verdict differs from that of the search in float32.
    """
    net = build(NetSpec("resnet18", size.width, **data.net_fields())).to(device)
    _fit(net, data, size, Fgsm(Threat(EPS, STEP, 1), random_start=True), size.epochs)
    before = clock(device)
    _fit(copy.deepcopy(net), data, size, PgdAt(Threat(EPS, STEP, size.steps)), epochs=1)
    result: dict[str, Any] = {
        "epoch": {"images": len(data.train), "seconds": round(clock(device) - before, 2)}
    }
    test = held.test.to(device)
    x, y = to_float(test.images), test.labels
    small = for_attacks(net.eval(), x)
    robust = {}
    for precision in ("fp32", "tf32", "bf16"):
        before = clock(device)
        found = autoattack(
            small,
            x,
            y,
            eps=EPS,
            seed=SEED,
            batch_size=size.attack_batch,
            share=size.share,
            precision=precision,
        )
        robust[precision] = found.robust
        result[f"autoattack {precision}"] = {
            "images": len(x),
            "seconds": round(clock(device) - before, 2),
            "clean": int(found.clean_correct.sum()),
            "robust": int(found.robust.sum()),
            "flips": (found.robust != robust["fp32"]).nonzero().flatten().tolist(),
        }
    return result


def _fit(
    net: nn.Module, data: TrainingData, size: FullSize, objective: Fgsm | PgdAt, epochs: int
) -> None:
    device = next(net.parameters()).device
    # the monitor's validation images are no part of what is timed
    train, val = data.train.to(device), data.val.take(2).to(device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            train, val, Augment(data.pad, data.flip), objective.threat, SEED, Path(folder)
        )
        recipe = Recipe(epochs=epochs, batch=size.batch, lr=0.1, schedule="onecycle")
        trainer.fit(net, objective, recipe, "full size")
