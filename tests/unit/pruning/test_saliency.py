import copy

import pytest
import torch
from torch.nn import functional as F

from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk
from advprune.pruning import saliency
from advprune.pruning.saliency import (
    attacked_batches,
    filter_sums,
    mean_gradients,
    training_batches,
)
from helpers.small import blobs
from helpers.training import THREAT, trainer


def samples(n=24, size=8):
    data = blobs(n)
    x, y = data.images / 255, data.labels
    return [(x[i : i + size], y[i : i + size]) for i in range(0, n, size)]


def test_batches_go_on_into_another_pass(tmp_path):
    job = trainer(tmp_path, images=40)
    sizes = [len(y) for _, y in training_batches(job, 16, job.rng("a"), count=5)]
    assert sizes == [16, 16, 8, 16, 16]
    assert sum(len(y) for _, y in training_batches(job, 16, job.rng("a"))) == 40


def test_a_pass_shows_every_image_once(tmp_path):
    job = trainer(tmp_path, images=40)
    seen = torch.cat([x for x, _ in training_batches(job, 16, job.rng("a"))]).flatten(1)
    whole = job.train.images.flatten(1) / 255
    assert torch.equal(seen.unique(dim=0), whole.unique(dim=0))
    moved = torch.cat([x for x, _ in training_batches(job, 16, job.rng("a"), augment=True)])
    assert not torch.equal(moved.flatten(1).unique(dim=0), whole.unique(dim=0))


def test_attacked_batches_are_strong_and_near(net, tmp_path):
    """The images of the plain batches, within the radius, with a higher loss; the net unchanged."""
    job = trainer(tmp_path, images=40)
    net.eval()
    before = copy.deepcopy(net.state_dict())
    found = list(attacked_batches(net, job, 20, "a", count=2))
    images = job.train.images / 255
    for x, y in found:
        distances = (x[:, None] - images[None]).abs().flatten(2).amax(2)
        nearest, pick = distances.min(1)
        assert nearest.min() > 0 and nearest.max() <= THREAT.eps + 1e-6
        assert F.cross_entropy(net(x), y) > F.cross_entropy(net(images[pick]), y)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


def test_attacked_batches_follow_seed_and_name(net, tmp_path):
    def first(name, seed=3):
        with torch.no_grad():  # the attack brings its own gradients
            return next(attacked_batches(net, trainer(tmp_path, seed=seed), 20, name))[0]

    assert torch.equal(first("a"), first("a"))
    assert not torch.equal(first("a"), first("b"))
    assert not torch.equal(first("a"), first("a", seed=4))


def test_mean_gradients_are_those_of_all_images_at_once(net):
    """Batches of unequal size weigh by their images."""
    parts = samples(24, 10)
    found = mean_gradients(net, parts)
    x, y = (torch.cat(t) for t in zip(*parts, strict=True))
    net.eval()
    F.cross_entropy(net(x), y).backward()
    for name, parameter in net.named_parameters():
        assert torch.allclose(found[name], parameter.grad, atol=1e-6), name


def test_a_statistic_is_taken_per_batch(net):
    parts = samples(16, 8)

    def squares(gradients):
        return {n: g.square() for n, g in gradients.items()}

    found = mean_gradients(net, parts, statistic=squares)["fc.weight"]
    single = [mean_gradients(net, [part])["fc.weight"].square() for part in parts]
    assert torch.allclose(found, sum(single) / 2)
    assert not torch.allclose(found, mean_gradients(net, parts)["fc.weight"].square())


def test_mean_gradients_leave_the_net_as_it_was(net):
    net.train()
    net.layer1.eval()
    before = copy.deepcopy(net.state_dict())
    mean_gradients(net, samples())
    assert net.training and not net.layer1.training and net.layer2.training
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_filter_sums_are_the_derivative_of_scaling_the_filter(net, training):
    """Scaling weights, scale and shift of filter j by 1 + t, at t = 0, in both modes."""
    x, y = samples(12, 12)[0]
    net.double().train(training)
    torch.nn.init.normal_(net.layer1[0].bn1.bias, generator=torch.Generator().manual_seed(0))

    def loss():
        return F.cross_entropy(net(x.double()), y)

    gradients = torch.autograd.grad(loss(), list(net.parameters()))
    terms = {n: g * p.detach() for (n, p), g in zip(net.named_parameters(), gradients, strict=True)}
    found = filter_sums(net, terms)
    assert list(found) == list(mk.prunable(net, "filters"))
    conv, bn = net.layer1[0].conv1, net.layer1[0].bn1
    start = copy.deepcopy(net.state_dict())
    for j in range(2):
        sides = []
        for t in (1e-5, -1e-5):
            with torch.no_grad():
                for tensor in (conv.weight, bn.weight, bn.bias):
                    tensor[j] *= 1 + t
            sides.append(loss().item())
            net.load_state_dict(start)
        slope = (sides[0] - sides[1]) / 2e-5
        assert found["layer1.0.conv1"][j].item() == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_batchnorm_hides_the_scale_of_a_filter_in_training(net):
    """Why the group needs the pair: over the weights alone the sum is zero."""
    x, y = samples(12, 12)[0]
    net.double().train()
    weight = net.layer1[0].conv1.weight
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(x.double()), y), weight)
    products = gradient * weight.detach()
    alone, single = products.flatten(1).sum(1).abs(), products.abs().flatten(1).sum(1)
    assert (alone < 1e-3 * single).all()


def test_feature_maps_are_what_the_next_layer_reads():
    spec = NetSpec("vgg16", 4, classes=3, channels=1, size=8, mean=(0.5,), std=(0.25,))
    net = build(spec, torch.Generator().manual_seed(1)).eval()
    x = samples(6, 6)[0][0]
    with saliency.feature_maps(net) as maps:
        net(x)
    assert list(maps) == list(mk.prunable(net, "filters"))
    assert torch.equal(maps["features.0"], net.features[:3](net.normalize(x)))
    assert torch.equal(maps["features.3"], net.features[:6](net.normalize(x)))
    net(2 * x)  # the hooks are gone
    assert torch.equal(maps["features.0"], net.features[:3](net.normalize(x)))


def test_feature_maps_of_a_residual_net_are_taken_before_the_addition(net):
    net.eval()
    x = samples(6, 6)[0][0]
    with saliency.feature_maps(net) as maps:
        net(x)
    block = net.layer1[0]
    own = block.bn2(block.conv2(maps["layer1.0.conv1"])).relu()
    assert torch.allclose(maps["layer1.0.conv2"], own, atol=1e-6)
    assert maps["layer2.0.shortcut.0"].shape == (6, 8, 4, 4)


def test_gates_close_channels_behind_the_maps(net):
    """Maps are those without gates; the rest of the net sees the gated ones; then all is over."""
    net.eval()
    x = samples(6, 6)[0][0]
    plain = net(x)
    gate = torch.tensor([1.0, 0.0, 1.0, 0.0])
    closed = {}
    net.layer1[0].conv1.register_forward_pre_hook(lambda m, inputs: closed.update(x=inputs[0]))
    with (
        saliency.feature_maps(net) as maps,
        saliency.gated(net, lambda n: gate if n == "conv1" else None),
    ):
        net(x)
    assert maps["conv1"][:, 1].any() and not closed["x"][:, 1].any()
    assert torch.equal(closed["x"], maps["conv1"] * gate.view(1, -1, 1, 1))
    assert torch.equal(net(x), plain)


def test_filters_that_are_only_added_have_their_own_maps_and_gates():
    """In pre-activation blocks: what the last convolution makes, before it is added."""
    net = build(NetSpec("wrn_28_4", 4, 3, 1, 8, (0.5,), (0.25,))).eval()
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    added = []
    hook = net.layer1[0].conv2.register_forward_hook(lambda m, i, o: added.append(o))
    with saliency.feature_maps(net) as maps:
        plain = net(x)
    assert list(maps) == list(mk.prunable(net, "filters"))
    assert torch.equal(maps["layer1.0.conv2"], added[0].relu())
    hook.remove()
    closed = torch.tensor([0.0, 1, 1, 1])
    with saliency.gated(net, lambda name: closed if name == "layer1.0.conv2" else None):
        gated = net(x)
    assert not torch.equal(gated, plain)
    net.layer1[0].conv2.weight.data[0] = 0
    assert torch.allclose(gated, net(x), atol=1e-6)


def test_filter_sums_of_filters_that_are_only_added_are_those_of_their_weights():
    net = build(NetSpec("wrn_28_4", 4, 3, 1, 8, (0.5,), (0.25,)))
    terms = {n: p.detach() for n, p in net.named_parameters()}
    sums = filter_sums(net, terms)
    assert list(sums) == list(mk.prunable(net, "filters"))
    block = net.layer1[0]
    assert torch.equal(sums["layer1.0.conv2"], block.conv2.weight.detach().flatten(1).sum(1))
    whole = block.conv1.weight.detach().flatten(1).sum(1) + block.bn2.weight.detach()
    assert torch.equal(sums["layer1.0.conv1"], whole + block.bn2.bias.detach())


def test_what_a_reaction_returns_goes_on_in_place_of_the_map(net):
    net.eval()
    x = samples(6, 6)[0][0]
    plain, seen = net(x), []
    with saliency.behind_filters(net, lambda name, output: seen.append(name)):
        assert torch.equal(net(x), plain)
    assert seen == list(mk.prunable(net, "filters"))
    with saliency.behind_filters(net, lambda name, output: 0 * output):
        assert torch.equal(net(x), net.fc.bias.expand(6, -1))
    with pytest.raises(KeyboardInterrupt), saliency.behind_filters(net, lambda *_: None):
        raise KeyboardInterrupt
    assert torch.equal(net(x), plain) and len(seen) == 20
