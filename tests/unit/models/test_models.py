"""Nets: the sizes the papers report, deterministic initialisation, readable structure."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.models.graph import macs
from advprune.models.names import known_nets
from advprune.models.normalize import Normalize
from advprune.models.registry import NetSpec, build, init_weights

SMALL = NetSpec("resnet18", 4, 10, 3, 32, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
DIGITS = NetSpec("resnet18", 8, 10, 1, 8, (0.3,), (0.4,))


def layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize(
    ("arch", "parameters", "weights", "operations"),
    [
        ("resnet18", 11_173_962, 11_164_352, 555_422_720),
        ("vgg16", 15_311_818, 15_302_848, 313_788_928),
        # stem 432; groups 269,216 + 1,116,032 + 4,460,288, of which BatchNorm has 32 + 7 · 128,
        # 128 + 7 · 256 and 256 + 7 · 512; last BatchNorm 512; head 2,560 weights and 10 biases
        ("wrn_28_4", 5_849_050, 5_841_840, 845_597_184),
    ],
)
def test_full_size_nets_have_the_published_counts(arch, parameters, weights, operations):
    net = build(replace(SMALL, arch=arch, width=64))
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert sum(layer.weight.numel() for layer in layers(net)) == weights
    assert sum(macs(net, (3, 32, 32)).values()) == operations


def test_the_embedded_resnet_has_its_measured_size():
    assert sum(p.numel() for p in build(DIGITS).parameters()) == 176_258


@pytest.mark.parametrize("arch", known_nets())
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 8)])
def test_nets_give_logits_for_every_image_size_and_normalise_first(arch, channels, size):
    spec = NetSpec(arch, 4, 7, channels, size, (0.5,) * channels, (0.2,) * channels)
    net = build(spec).eval()
    assert isinstance(next(net.children()), Normalize)
    images = torch.rand(5, channels, size, size, generator=torch.Generator().manual_seed(0))
    logits = net(images)
    assert logits.shape == (5, 7)
    assert logits.isfinite().all()
    alone = torch.cat([net(image[None]) for image in images])
    torch.testing.assert_close(logits, alone)


def test_vgg_halves_the_map_down_to_two_by_two_and_no_further():
    def pools(size: int) -> int:
        net = build(replace(SMALL, arch="vgg16", size=size))
        return sum(isinstance(m, nn.MaxPool2d) for m in net.modules())

    assert [pools(size) for size in (32, 16, 8, 4, 2)] == [4, 3, 2, 1, 0]


def test_vgg_head_is_the_usual_one_at_full_width():
    net = build(replace(SMALL, arch="vgg16", width=64))
    head = [m for m in net.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in head] == [(2048, 256), (256, 256), (256, 10)]


def test_normalize_is_what_the_moments_say():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    out = Normalize(SMALL.mean, SMALL.std)(x)
    for c in range(3):
        torch.testing.assert_close(out[:, c], (x[:, c] - SMALL.mean[c]) / SMALL.std[c])


@pytest.mark.parametrize("arch", known_nets())
def test_nets_normalise_their_input(arch):
    spec = replace(SMALL, arch=arch)
    plain = build(replace(spec, mean=(0.0,) * 3, std=(1.0,) * 3)).eval()
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normalised = Normalize(spec.mean, spec.std)(x)
    torch.testing.assert_close(build(spec).eval()(x), plain(normalised))


def test_resnet_blocks_add_their_input_unless_the_shape_changes():
    net = build(SMALL).eval()
    same, changed = net.layer1[1], net.layer2[0]
    x = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(same.conv2.weight)
    torch.testing.assert_close(same(x), x)
    nn.init.zeros_(changed.conv2.weight)
    torch.testing.assert_close(changed(x), changed.shortcut(x).relu())
    assert changed(x).shape == (2, 8, 4, 4)


def test_wrn_has_a_quarter_of_its_width_in_the_stem_and_at_least_one_channel():
    for width, stem in ((64, 16), (4, 1), (2, 1)):
        net = build(replace(SMALL, arch="wrn_28_4", width=width))
        assert net.conv1.out_channels == stem
        assert net.fc.in_features == 4 * width


def test_wrn_blocks_add_what_they_carry_before_normalising_it():
    net = build(replace(SMALL, arch="wrn_28_4")).eval()
    same, changed = net.layer1[1], net.layer2[0]
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(same.conv2.weight)
    torch.testing.assert_close(same(x), x)
    nn.init.zeros_(changed.conv2.weight)
    torch.testing.assert_close(changed(x), changed.shortcut(changed.bn1(x).relu()))
    assert changed(x).shape == (2, 8, 4, 4)


# --- initialisation


@pytest.mark.parametrize("arch", known_nets())
def test_initialisation_follows_the_generator_and_leaves_the_global_state(arch):
    spec = replace(SMALL, arch=arch)
    before = torch.get_rng_state()
    states = [build(spec, torch.Generator().manual_seed(s)).state_dict() for s in (1, 1, 2)]
    assert torch.get_rng_state().equal(before)
    assert all(states[0][k].equal(states[1][k]) for k in states[0])
    weights = [k for k in states[0] if states[0][k].dim() > 1 and "normalize" not in k]
    assert not any(states[0][k].equal(states[2][k]) for k in weights)


@pytest.mark.parametrize("arch", known_nets())
def test_initial_weights_have_the_intended_spread(arch):
    net = build(replace(SMALL, arch=arch, width=16))
    for layer in layers(net):
        weight = layer.weight
        if isinstance(layer, nn.Conv2d):
            deviation = math.sqrt(2 / (layer.out_channels * math.prod(layer.kernel_size)))
        else:
            bound = 1 / math.sqrt(layer.in_features)
            deviation = bound / math.sqrt(3)
            assert weight.abs().max() <= bound
            assert not layer.bias.any()
        tolerance = 4 / math.sqrt(2 * weight.numel())
        assert abs(weight.std() / deviation - 1) < tolerance


def test_init_weights_forgets_everything_learned():
    net = build(SMALL)
    net(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    nn.init.ones_(net.fc.bias)
    init_weights(net, torch.Generator().manual_seed(0))
    fresh = build(SMALL).state_dict()
    assert all(value.equal(fresh[name]) for name, value in net.state_dict().items())


# --- the description


def test_description_survives_json():
    assert NetSpec.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL


def test_wrong_descriptions_are_user_errors():
    with pytest.raises(UserError, match=r"'lenet' \(known: preact_resnet18, resnet18, "):
        build(replace(SMALL, arch="lenet"))
    with pytest.raises(UserError, match="depth, width"):
        values = SMALL.to_dict()
        values["depth"] = values.pop("width")
        NetSpec.from_dict(values)
    with pytest.raises(UserError, match="mean and std must have 1"):
        build(replace(SMALL, channels=1))
