"""Every layout of the released files against a plain forward pass, written from its formula."""

import pytest
import torch
from torch.nn import functional as F

from advprune.models.foreign.convert import convert
from advprune.models.foreign.outline import outline
from advprune.models.foreign.reading import Asked
from advprune.models.foreign.recognise import recognise
from advprune.models.registry import NetSpec
from helpers.released import LAYOUTS, synthetic

SPARSITY = 0.6
STRIDES = {1: 1, 2: 2, 3: 2, 4: 2}
PLACES = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
POOLED = (1, 3, 6, 9, 12)  # a pooling follows these convolutions, the last only in some nets


def best(scores, kept):
    """1 where a score is not among the smallest that go."""
    removed = int((1 - kept) * scores.numel())
    return (scores.abs() >= scores.abs().flatten().sort().values[removed]).float()


def effective(state, name):
    """A layer's weight as its authors' forward pass has it."""
    weight = state.get(f"{name}.weight")
    scores = state.get(f"{name}.popup_scores", state.get(f"{name}.scores"))
    rate, factor = state.get(f"{name}.k_score"), state.get(f"{name}.aux_weight")
    if f"{name}.weight_orig" in state:
        return state[f"{name}.weight_orig"] * state[f"{name}.weight_mask"]
    if f"{name}.mask_weight" in state:
        return weight * torch.log(1 + torch.exp(state[f"{name}.mask_weight"]))
    if factor is not None and factor.shape == weight.shape:
        return weight * factor * state[f"{name}.mask"]
    if factor is not None:
        return torch.einsum("pq,q...->p...", factor, weight) * state[f"{name}.mask"]
    if scores is None:
        return weight
    if rate is None:
        return weight * best(scores, 1 - SPARSITY)
    least = 0.1 * (1 - SPARSITY)
    share = least + (1 - least) / (1 + torch.exp(-rate))
    if scores.shape == weight.shape:
        return weight * best(scores, share)
    mask = torch.zeros(scores.numel())
    mask[scores.abs().flatten().topk(int(torch.round(share * scores.numel()))).indices] = 1
    return weight * mask.view_as(scores)


class Plain:
    """Layers by the names of a file, in double precision so that rounding hides nothing."""

    def __init__(self, state):
        self.state = state

    def part(self, layer, name):
        found = self.state.get(f"{layer}.{name}")
        return None if found is None else found.double()

    def conv(self, x, name, stride=1):
        weight, bias = effective(self.state, name).double(), self.part(name, "bias")
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)

    def norm(self, x, name):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.part(name, part) for part in names))

    def linear(self, x, name):
        bias, mask = self.part(name, "bias"), self.part(name, "mask_bias")
        if mask is not None:
            bias = bias * torch.log(1 + torch.exp(mask))
        return F.linear(x, effective(self.state, name).double().flatten(1), bias)

    def resnet(self, x, pre="", head="linear"):
        x = F.relu(self.norm(self.conv(x, f"{pre}conv1"), f"{pre}bn1"))
        for stage, stride in STRIDES.items():
            for block in (0, 1):
                place, step = f"{pre}layer{stage}.{block}", 1 if block else stride
                out = F.relu(self.norm(self.conv(x, f"{place}.conv1", step), f"{place}.bn1"))
                out = self.norm(self.conv(out, f"{place}.conv2"), f"{place}.bn2")
                if stage > 1 and not block:
                    shortcut = self.conv(x, f"{place}.shortcut.0", step)
                    x = self.norm(shortcut, f"{place}.shortcut.1")
                x = F.relu(out + x)
        return self.linear(F.avg_pool2d(x, 4).flatten(1), pre + head)

    def preact(self, x):
        x = self.conv(x, "conv1")
        for stage, stride in STRIDES.items():
            for block in (0, 1):
                place, step = f"layer{stage}.{block}", 1 if block else stride
                active = F.relu(self.norm(x, f"{place}.bn1"))
                if stage > 1 and not block:
                    x = self.conv(active, f"{place}.shortcut.0", step)
                out = F.relu(self.norm(self.conv(active, f"{place}.conv1", step), f"{place}.bn2"))
                x = self.conv(out, f"{place}.conv2") + x
        return self.linear(F.avg_pool2d(F.relu(self.norm(x, "bn")), 4).flatten(1), "linear")

    def vgg(self, x, layers, last):
        """`layers` are names of the convolutions and their BatchNorms, `last` the last pooling."""
        for i, (conv, norm) in enumerate(layers):
            x = F.relu(self.norm(self.conv(x, conv), norm))
            if i in POOLED[:-1]:
                x = F.max_pool2d(x, 2)
        return last(x).flatten(1)

    def head(self, x, *names):
        """Linear layers, with their BatchNorms in pairs, and ReLU between them."""
        for name in names[:-1]:
            linear, norm = name if isinstance(name, tuple) else (name, None)
            x = self.linear(x, linear)
            x = F.relu(self.norm(x, norm) if norm else x)
        return self.linear(x, names[-1])


def features(name="features"):
    return [(f"{name}.{place}", f"{name}.{place + 1}") for place in PLACES]


def of_pwoa():
    blocks = [(stage, j) for stage in range(1, 6) for j in range(2 if stage < 3 else 3)]
    return [(f"layer{stage}.{j}.0", f"layer{stage}.{j}.1") for stage, j in blocks]


def logits(layout, state, x):
    """What the authors' net answers; images are normalised already."""
    net, method, arch = Plain(state), *layout.split("-")[:2]
    if method in ("robustbird", "flyingbird") and arch == "resnet18":
        return net.preact(x)
    if arch == "resnet18":
        return net.resnet(
            x, "model." * (layout == "li20-resnet18"), "fc" if method == "rst" else "linear"
        )
    largest, mean = (lambda y: F.max_pool2d(y, 2)), (lambda y: F.avg_pool2d(y, 2))
    if layout == "pwoa-vgg16-authors":
        out = net.vgg(x, of_pwoa(), largest)
        return net.head(out, ("layer6.0", "layer6.1"), ("layer7.0", "layer7.1"), "layer8")
    if method == "pwoa":
        return net.head(net.vgg(x, of_pwoa(), lambda y: y), "layer6.0", "layer7.0", "layer8")
    if method in ("hydra", "harp"):
        out = net.vgg(x, features(), lambda y: y)
        return net.head(out, "classifier.0", "classifier.2", "classifier.4")
    if layout == "li20-vgg16":
        out = net.vgg(x, features("feature"), mean)
        return net.head(out, ("classifier.0", "classifier.1"), "classifier.3")
    if method == "li20":
        return net.head(net.vgg(x, features("0"), mean), ("3.0", "3.1"), "3.3")
    if method == "mad":
        return net.head(net.vgg(x, features("feature"), mean), "classifier")
    return net.head(net.vgg(x, features(), largest), "classifier")


def spec_of(match):
    mean, std = match.mean or (0.45, 0.5, 0.55), match.std or (0.2, 0.25, 0.3)
    return NetSpec(**match.net, size=32, mean=mean, std=std)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_net_of_ours_answers_as_the_authors_does(layout, tmp_path):
    def other_masks(state):
        """Masks as they are in an unfinished file of MAD, which the formula must hold for too."""
        rng = torch.Generator().manual_seed(1)
        for name in state:
            if ".mask_" in name:
                state[name] = torch.randn(state[name].shape, generator=rng)

    state = synthetic(layout, tmp_path / "net.pt", 16, change=other_masks)
    match = recognise(outline(tmp_path / "net.pt"), layout)
    spec = spec_of(match)
    found = convert(tmp_path / "net.pt", spec, Asked(layout=layout), SPARSITY)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)).double()
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    with torch.no_grad():
        wanted = logits(layout, state, (images - mean) / std)
        answer = found.net.double()(images)
    assert wanted.std() > 0.05
    assert torch.allclose(answer, wanted, rtol=0, atol=1e-5)
