"""A lower precision proposes adversarials; float32 says which of them are any."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.attacks.autoattack import autoattack
from advprune.attacks.boundary import misclassified
from advprune.attacks.fmn import fmn, fmn_in_batches
from advprune.attacks.hofmn import tune
from advprune.base.errors import UserError
from advprune.base.record import to_json
from advprune.compact.convert import for_attacks
from advprune.models.precision import arithmetic, lower, lowered
from advprune.models.registry import NetSpec, build
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import Verdicts
from evaluate import searched
from helpers.attacked_nets import digits_case
from helpers.checkout import tiny_config

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SETTINGS = {"seed": 0, "batch_size": 4}


class Hair(nn.Module):
    """Logit 1 minus logit 0 is a thousandth of x0 - x1 - shift; in bfloat16 they are equal.

    Equal logits mean class 0, so in bfloat16 label 1 is always wrong and label 0 always right.
    """

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.999, 1.0], [1.0, 0.999], [0, 0], [0, 0]]))
        self.bias = nn.Parameter(torch.tensor([0.0, -shift / 1000, -9, -9]))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight) + self.bias


def images(*pairs):
    return torch.tensor(pairs)[:, None, None, :]


def test_what_counts_as_lower():
    found = [lower(name, device) for device in (CPU, GPU) for name in ("fp32", "tf32", "bf16")]
    assert found == [False, False, True, False, True, True]


def test_tf32_is_allowed_where_it_was_asked_for_and_nowhere_else():
    def flags():
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = flags()
    with arithmetic("tf32"):
        assert flags() == (True, True)
        with pytest.raises(KeyError), arithmetic("fp32"):
            assert flags() == (False, False)
            raise KeyError
        assert flags() == (True, True)
        with arithmetic("bf16"):
            assert flags() == (False, False)
    assert flags() == before


def test_the_net_rounds_only_inside_the_search():
    net, x = Hair(), images([0.6, 0.5])
    assert lowered(net, "fp32") is net and lowered(net, "tf32") is net
    rounded = lowered(net, "bf16")(x)
    assert rounded.dtype == torch.float32 and rounded[0, 0] == rounded[0, 1]
    assert net(x).argmax() == 1 and lowered(net, "bf16")(x).argmax() == 0


def test_a_bfloat16_success_that_float32_denies_is_none():
    """The margin is 0.001 * (x0 - x1), so a distance is half of x0 - x1: 0.05 and 0.2."""
    net, x, y = Hair(), images([0.6, 0.5], [0.7, 0.3]), torch.tensor([1, 1])
    assert misclassified(lowered(net, "bf16")(x), y).all()
    found = autoattack(net, x, y, eps=0.04, attacks=["apgd-ce"], precision="bf16", **SETTINGS)
    assert found.clean_correct.all() and found.robust.all()
    assert found.broken_by == ["", ""] and torch.equal(found.adversarial, x)
    assert fmn(net, x, y, steps=10, precision="bf16").distance.isinf().all()


def test_a_sample_that_rounding_alone_has_moved_is_still_attacked():
    net, x, y = Hair(), images([0.6, 0.5], [0.7, 0.3]), torch.tensor([1, 1])
    found = autoattack(net, x, y, eps=0.1, attacks=["apgd-ce"], precision="bf16", **SETTINGS)
    assert found.broken_by == ["apgd-ce", ""]
    assert misclassified(net(found.adversarial), y).tolist() == [True, False]


def test_clean_verdicts_are_those_of_float32():
    net, x = Hair(shift=0.3), images([0.6, 0.5], [0.8, 0.4])
    y = torch.zeros(2, dtype=torch.long)
    assert not misclassified(lowered(net, "bf16")(x), y).any()
    assert misclassified(net(x), y).tolist() == [False, True]
    found = autoattack(net, x, y, eps=0.01, attacks=["apgd-ce"], precision="bf16", **SETTINGS)
    assert found.clean_correct.tolist() == [True, False]


def test_a_wrong_image_that_bfloat16_takes_for_right_has_distance_zero():
    """In bfloat16 the weights are 1.0078 and 1, so that the attack has a boundary to look for."""
    net, x, y = Hair(), images([0.8125, 0.81640625]), torch.tensor([0])
    net.weight.data[:2] = torch.tensor([[1.0040, 0.0], [0.0, 1.0038]])
    logits = lowered(net, "bf16")(x)[0]
    assert logits[0] > logits[1] and misclassified(net(x), y).all()
    assert fmn(net, x, y, steps=3, precision="bf16").distance.tolist() == [0]


def test_on_a_net_that_has_learnt_little_is_lost():
    net, x, y = digits_case()
    x, y = x[:24], y[:24]
    options = {"eps": 0.12, "attacks": ["apgd-ce", "apgd-t"], "seed": 3, "batch_size": 9}
    exact, found = (autoattack(net, x, y, **options, precision=p) for p in ("fp32", "bf16"))
    assert torch.equal(misclassified(net(found.adversarial), y), ~found.robust)
    assert 0 < found.robust.sum() < found.clean_correct.sum()
    assert (exact.robust != found.robust).sum() <= 1
    assert not torch.equal(exact.adversarial, found.adversarial)

    exact, found = (fmn(net, x, y, steps=60, precision=p) for p in ("fp32", "bf16"))
    assert torch.equal(exact.distance == 0, found.distance == 0)
    assert misclassified(net(found.adversarial), y)[found.found].all()
    norms = (found.adversarial - x).abs().flatten(1).amax(1)
    assert torch.equal(norms[found.found], found.distance[found.found])
    assert 0.98 < (found.distance / exact.distance).nanmedian() < 1.02
    assert (found.distance != exact.distance).any()


def test_tf32_on_a_cpu_is_float32():
    net, x, y = digits_case()
    x, y = x[:12], y[:12]
    options = {"eps": 0.12, "attacks": ["apgd-ce"], **SETTINGS}
    exact, found = (autoattack(net, x, y, **options, precision=p) for p in ("fp32", "tf32"))
    assert torch.equal(exact.adversarial, found.adversarial)
    exact, found = (fmn(net, x, y, steps=20, precision=p) for p in ("fp32", "tf32"))
    assert torch.equal(exact.adversarial, found.adversarial)
    assert exact.forwards == found.forwards


def test_the_compact_net_can_be_asked_in_bfloat16():
    moments = {"mean": (0.4,) * 3, "std": (0.3,) * 3}
    net = build(NetSpec("resnet18", 4, classes=10, channels=3, size=16, **moments)).eval()
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    small, y = for_attacks(net, x), net(x).argmax(1)
    options = {"steps": 10, "batch_size": 4, "precision": "bf16"}
    found = fmn_in_batches(small, x, y, **options)
    assert found.found.any()
    assert misclassified(small(found.adversarial), y)[found.found].all()


def test_tuning_searches_in_the_precision_of_the_attack():
    net, x, y = digits_case()
    options = {"trials": 1, "steps": 10, "eps": 0.1, "seed": 0, "batch_size": 16}
    exact, found = (tune(net, x[:16], y[:16], **options, precision=p) for p in ("fp32", "bf16"))
    assert exact.trials[0]["median"] != found.trials[0]["median"]


def test_the_switch_is_in_the_settings_only_where_it_is_used():
    config = tiny_config()
    model = next(iter(Protocol(load_config(config)).models))

    def settings(**switch):
        evaluation = config["evaluation"] | switch
        return Verdicts(Protocol(load_config(config | {"evaluation": evaluation}))).evaluate(model)

    plain = settings()
    assert plain == settings(search_precision="fp32")
    assert "precision" not in to_json(plain)
    low = settings(search_precision="bf16")
    assert {low.autoattack.precision, low.hofmn.precision, low.hofmn_tune.precision} == {"bf16"}
    assert searched(plain) == []
    assert searched(low) == ["searched in bf16, adversarials checked in float32"]
    with pytest.raises(UserError, match="search_precision"):
        settings(search_precision="fp16")
