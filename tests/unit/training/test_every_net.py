"""Every net learns: some seconds of adversarial training on digits."""

import pytest
import torch
from torch.nn import functional as F

from advprune.data.batches import Augment, to_float
from advprune.data.prepare import prepare
from advprune.models.registry import NetSpec, build
from advprune.plan.specs import Recipe, Threat
from advprune.training.loop import Trainer
from advprune.training.objectives.fgsm import Fgsm
from helpers.nets import NETS

EPS = 0.05
OTHERS = {name: fields for name, fields in NETS.items() if name != "resnet18"}  # trained everywhere


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return prepare("digits", data_root=None, cache=folder, limits={"train": 1200, "test": 200})


@pytest.mark.parametrize("net_fields", OTHERS.values(), ids=OTHERS)
def test_every_net_learns_digits_under_attack(net_fields, digits, tmp_path):
    data, held = digits
    net = build(NetSpec(width=8, **data.net_fields(), **net_fields))
    threat = Threat(EPS, EPS, 1)
    trainer = Trainer(data.train, data.val.take(2), Augment(0, False), threat, 3, tmp_path)
    recipe = Recipe(epochs=3, batch=32, lr=0.05, schedule="onecycle")
    trainer.fit(net, Fgsm(threat, random_start=True), recipe, "pretrain")
    net.eval()
    x, y = to_float(held.test.images).requires_grad_(), held.test.labels
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), y), x)
    attacked = (x + EPS * gradient.sign()).clamp(0, 1)
    clean, robust = ((net(seen).argmax(1) == y).float().mean() for seen in (x, attacked))
    assert clean > 0.6 and robust > 0.4
