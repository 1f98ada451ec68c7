"""Kronecker factors against explicit sums (docs/methods/mad.md, "Saliency")."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.pruning import kfac


def small(rng):
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=True),
        nn.ReLU(),
        nn.Conv2d(4, 3, 1, bias=False),
        nn.Flatten(),
        nn.Linear(27, 3),
    )
    for p in net.parameters():
        nn.init.normal_(p, 0, 0.3, generator=rng)
    return net, {n: net[int(n)] for n in ("0", "2", "4")}


def test_patches_times_weights_are_the_outputs(rng):
    _, layers = small(rng)
    for layer, shape in zip(layers.values(), ((2, 2, 6, 6), (2, 4, 3, 3), (2, 27)), strict=True):
        x = torch.randn(shape, generator=rng)
        matrix = layer.weight.flatten(1)
        if layer.bias is not None:
            matrix = torch.cat([matrix, layer.bias[:, None]], dim=1)
        made = kfac.patches(layer, x) @ matrix.T  # [B, S, O]
        assert torch.allclose(made.transpose(1, 2).reshape(layer(x).shape), layer(x), atol=1e-5)


@pytest.mark.parametrize("options", [{"dilation": 2}, {"dilation": (1, 2), "stride": (2, 1)}])
def test_patches_of_dilated_convolutions(rng, options):
    layer = nn.Conv2d(2, 4, 3, padding=1, bias=False, **options)
    x = torch.randn(2, 2, 7, 7, generator=rng)
    made = kfac.patches(layer, x) @ layer.weight.flatten(1).T
    assert torch.allclose(made.transpose(1, 2).reshape(layer(x).shape), layer(x), atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"groups": 2}, {"padding": "same"}, {"padding": 1, "padding_mode": "reflect"}]
)
def test_what_is_no_whole_convolution_is_refused_in_one_line(options):
    """The patches of all channels would fit no weight of a group."""
    with pytest.raises(UserError, match=r"^K-FAC reads whole convolutions .*Conv2d\("):
        kfac.patches(nn.Conv2d(2, 4, 3, **options), torch.zeros(1, 2, 7, 7))


def test_factors_are_the_sums_of_the_page(rng):
    net, layers = small(rng)
    net.eval().requires_grad_(False)
    x, y = torch.rand(5, 2, 6, 6, generator=rng), torch.tensor([0, 1, 2, 1, 0])
    found = dict(kfac.factors(net, layers, x, y))
    assert list(found) == list(layers)
    given = {"0": x, "2": net[:2](x), "4": net[:4](x)}
    for name, layer in layers.items():
        read = kfac.patches(layer, given[name])
        batch, positions, _ = read.shape
        by_hand = sum(torch.outer(p / positions, p / positions) for b in read for p in b) / batch
        made = layer(given[name]).detach().requires_grad_()
        rest = net[int(name) + 1 :](made)
        (gradient,) = torch.autograd.grad(F.cross_entropy(rest, y), made)
        spread = gradient.reshape(batch, gradient.shape[1], -1).transpose(1, 2).flatten(0, 1)
        full = (spread * batch * positions).T @ (spread * batch * positions) / (batch * positions)
        inputs, outputs = found[name]
        assert torch.allclose(inputs, by_hand, rtol=1e-4, atol=1e-7)
        assert torch.allclose(outputs, full.diagonal(), rtol=1e-4)
        assert torch.allclose(inputs, inputs.T) and torch.linalg.eigvalsh(inputs).min() > -1e-5
    assert not any(m._forward_hooks for m in net.modules())


def test_shares_of_a_row_sum_to_its_quadratic_form(rng):
    step, root = torch.randn(3, 7, generator=rng), torch.randn(4, 7, generator=rng)
    inputs, outputs = root.T @ root, torch.rand(3, generator=rng)
    shares = kfac.quadratic(step, (inputs, outputs))
    for i in range(3):
        whole = 0.5 * outputs[i] * step[i] @ inputs @ step[i]
        assert float(shares[i].sum()) == pytest.approx(float(whole), rel=1e-4)
    assert (shares.sum(1) >= 0).all() and (shares < 0).any()
    assert (kfac.quadratic(step * (step > 0), (inputs, outputs))[step <= 0] == 0).all()


def test_one_image_on_a_linear_layer(rng):
    """The share of a row is half the squared change of the loss to first order."""
    layer = nn.Linear(6, 3)
    x, y = torch.rand(1, 6, generator=rng), torch.tensor([2])
    (_, pair), *_ = kfac.factors(layer, {"": layer}, x, y)
    step = torch.randn(3, 7, generator=rng)
    rows = kfac.quadratic(step, pair).sum(1)
    gradient = F.softmax(layer(x), 1)[0] - F.one_hot(y, 3)[0]
    moved = step @ torch.cat([x[0], torch.ones(1)])
    assert torch.allclose(rows, 0.5 * (gradient * moved) ** 2, rtol=1e-4)
