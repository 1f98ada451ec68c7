"""Nets: the sizes the papers report, deterministic initialisation, readable structure."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.models.graph import macs
from advprune.models.normalize import Normalize
from advprune.models.registry import NetSpec, build, init_weights
from helpers.nets import NETS, PRE_ACTIVATION

SMALL = NetSpec("resnet18", 4, 10, 3, 32, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
DIGITS = NetSpec("resnet18", 8, 10, 1, 8, (0.3,), (0.4,))


def layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize(
    ("fields", "parameters", "weights", "operations"),
    [
        ({"arch": "resnet18"}, 11_173_962, 11_164_352, 555_422_720),
        # the weights of ResNet18; of its 4,800 scales, as many shifts, those of stem and shortcuts
        # are gone and those of the last BatchNorm new: 2 · (64 + 128 + 256 + 512 - 64) fewer
        ({"arch": "preact_resnet18"}, 11_172_170, 11_164_352, 555_422_720),
        ({"arch": "vgg16"}, 15_311_818, 15_302_848, 313_788_928),
        # the heads of released nets, less their BatchNorm1d and the biases of their convolutions
        ({"arch": "vgg16", "final_pool": "max", "hidden": ()}, 14_724_042, 14_715_584, 313_201_664),
        (
            {"arch": "vgg16", "final_pool": "mean", "hidden": (512,)},
            *(14_986_698, 14_977_728, 313_463_808),
        ),
        # stem 432; groups 269,216 + 1,116,032 + 4,460,288, of which BatchNorm has 32 + 7 · 128,
        # 128 + 7 · 256 and 256 + 7 · 512; last BatchNorm 512; head 2,560 weights and 10 biases
        ({"arch": "wrn_28_4"}, 5_849_050, 5_841_840, 845_597_184),
        # RobustBench's net of that name has as many; 17,952 of them in BatchNorm
        ({"arch": "wrn_28_10", "width": 160}, 36_479_194, 36_461_232, 5_243_328_768),
    ],
)
def test_full_size_nets_have_the_published_counts(fields, parameters, weights, operations):
    net = build(replace(SMALL, **{"width": 64} | fields))
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert sum(layer.weight.numel() for layer in layers(net)) == weights
    assert sum(macs(net, (3, 32, 32)).values()) == operations


def test_the_embedded_resnet_has_its_measured_size():
    assert sum(p.numel() for p in build(DIGITS).parameters()) == 176_258


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 8)])
def test_nets_give_logits_for_every_image_size_and_normalise_first(net_fields, channels, size):
    moments = {"mean": (0.5,) * channels, "std": (0.2,) * channels}
    spec = NetSpec(width=4, classes=7, channels=channels, size=size, **moments, **net_fields)
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


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_vgg_may_end_in_the_mean_or_the_maximum_of_its_last_map(pool):
    """On 28×28 the last map is 3×3. The layers before the head are those of the usual net."""
    for size, side in ((32, 2), (28, 3), (8, 2)):
        spec = replace(SMALL, arch="vgg16", size=size, final_pool=pool, hidden=(5, 6))
        net = build(spec).eval()
        x = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
        last = net.features[:-1](net.normalize(x))
        assert last.shape == (3, 32, side, side)
        seen = last.mean((2, 3)) if pool == "mean" else last.amax((2, 3))
        torch.testing.assert_close(net(x), net.classifier(seen))
        assert [name for name, _ in net.classifier.named_parameters() if "weight" in name] == [
            *("0.weight", "2.weight", "4.weight")
        ]
        usual = build(replace(SMALL, arch="vgg16", size=size))
        assert net.features.state_dict().keys() == usual.features.state_dict().keys()


def test_the_options_of_vgg_are_the_usual_net_where_they_say_so():
    usual = build(replace(SMALL, arch="vgg16"))
    spelled = build(replace(SMALL, arch="vgg16", final_pool="none", hidden=(16, 16)))
    assert all(t.equal(spelled.state_dict()[n]) for n, t in usual.state_dict().items())


def test_normalize_is_what_the_moments_say():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    out = Normalize(SMALL.mean, SMALL.std)(x)
    for c in range(3):
        torch.testing.assert_close(out[:, c], (x[:, c] - SMALL.mean[c]) / SMALL.std[c])


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_nets_normalise_their_input(net_fields):
    spec = replace(SMALL, **net_fields)
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


@pytest.mark.parametrize(
    ("arch", "stems"),
    [("wrn_28_4", {64: 16, 4: 1, 2: 1}), ("wrn_28_10", {160: 16, 20: 2, 4: 1})],
)
def test_wrn_has_its_factor_less_channels_in_the_stem_and_at_least_one(arch, stems):
    for width, stem in stems.items():
        net = build(replace(SMALL, arch=arch, width=width))
        assert net.conv1.out_channels == stem
        assert net.fc.in_features == 4 * width


@pytest.mark.parametrize("arch", PRE_ACTIVATION)
def test_pre_activation_blocks_add_what_they_carry_before_normalising_it(arch):
    net = build(replace(SMALL, arch=arch)).eval()
    same, changed = net.layer1[1], net.layer2[0]
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(same.conv2.weight)
    torch.testing.assert_close(same(x), x)
    nn.init.zeros_(changed.conv2.weight)
    torch.testing.assert_close(changed(x), changed.shortcut(changed.bn1(x).relu()))
    assert changed(x).shape == (2, 8, 4, 4)


# --- initialisation


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_initialisation_follows_the_generator_and_leaves_the_global_state(net_fields):
    spec = replace(SMALL, **net_fields)
    before = torch.get_rng_state()
    states = [build(spec, torch.Generator().manual_seed(s)).state_dict() for s in (1, 1, 2)]
    assert torch.get_rng_state().equal(before)
    assert all(states[0][k].equal(states[1][k]) for k in states[0])
    weights = [k for k in states[0] if states[0][k].dim() > 1 and "normalize" not in k]
    assert not any(states[0][k].equal(states[2][k]) for k in weights)


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_initial_weights_have_the_intended_spread(net_fields):
    net = build(replace(SMALL, **net_fields, width=16))
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
    headed = replace(SMALL, arch="vgg16", final_pool="max", hidden=[])
    for spec in (SMALL, headed):
        assert NetSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert str(headed) == 'vgg16 of width 4, final_pool "max", hidden []'


def test_options_that_are_left_to_the_net_are_not_described():
    """So that checkpoints and cards from before there were options are those of today."""
    assert list(SMALL.to_dict()) == ["arch", "width", "classes", "channels", "size", "mean", "std"]


def test_wrong_descriptions_are_user_errors():
    with pytest.raises(UserError, match=r"'lenet' \(known: preact_resnet18, resnet18, "):
        build(replace(SMALL, arch="lenet"))
    with pytest.raises(UserError, match="depth, width"):
        values = SMALL.to_dict()
        values["depth"] = values.pop("width")
        NetSpec.from_dict(values)
    with pytest.raises(UserError, match=r"resnet18 has no option hidden \(it has: none\)"):
        build(replace(SMALL, hidden=[3]))
    with pytest.raises(UserError, match=r"final_pool 'min' \(known: none, mean, max\)"):
        build(replace(SMALL, arch="vgg16", final_pool="min"))
    with pytest.raises(UserError, match="mean and std must have 1"):
        build(replace(SMALL, channels=1))
