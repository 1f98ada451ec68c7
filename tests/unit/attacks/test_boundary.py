import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from advprune.attacks.boundary import LOSSES, margin, misclassified
from advprune.base.errors import UserError
from advprune.base.seeds import generator


@given(st.integers(0, 2**31), st.integers(3, 8))
@settings(max_examples=30, deadline=None)
def test_losses_are_zero_on_the_boundary_and_rise_beyond(seed, classes):
    logits = torch.randn(6, classes, generator=torch.Generator().manual_seed(seed))
    y = torch.randint(classes, (6,), generator=torch.Generator().manual_seed(seed + 1))
    others = logits.clone()
    others[torch.arange(6), y] = -torch.inf
    expected = logits[torch.arange(6), y] - others.max(1).values
    assert torch.allclose(margin(logits, y), expected)
    assert torch.equal(misclassified(logits, y), expected < 0)
    for loss in LOSSES.values():
        objective, gap = loss(logits, y)
        assert torch.equal(gap.sign(), expected.sign())
        eased = logits.scatter_add(1, y[:, None], torch.full((6, 1), -0.01))
        risen = loss(eased, y)[0] - objective
        assert (risen > 0)[expected > 0.02].all()
        assert (risen > -1e-6).all()  # DLR is flat where the label comes third


def test_dlr_value_and_class_count():
    logits, y = torch.tensor([[3.0, 1.0, 0.5, 0.0]]), torch.tensor([0])
    objective, _ = LOSSES["DLR"](logits, y)
    assert objective.item() == pytest.approx(-(3.0 - 1.0) / (3.0 - 0.5))
    with pytest.raises(UserError, match="three classes"):
        LOSSES["DLR"](logits[:, :2], y)


def test_cross_entropy_has_the_direction_of_cross_entropy():
    logits = torch.randn(5, 6, generator=generator(0, "l"), dtype=torch.double)
    y = torch.tensor([0, 1, 2, 3, 4])
    logits.requires_grad_()
    (ours,) = torch.autograd.grad(LOSSES["CE"](logits, y)[0].sum(), logits)
    loss = nn.functional.cross_entropy(logits, y, reduction="sum")
    (plain,) = torch.autograd.grad(loss, logits)
    assert torch.allclose(nn.functional.cosine_similarity(ours, plain), torch.ones(5).double())
    sure = torch.tensor([[200.0, 0, 0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSSES["CE"](sure, torch.tensor([0]))[0].sum(), sure)
    assert gradient.abs().sum() == pytest.approx(2)
