"""Compact nets: evaluation copies with equal logits that are cheaper to run.

A copy is a straight list of fused steps. BatchNorm and the deviation of the normalisation are
folded into the convolutions, parameters become constants, channels that cannot change or that
nobody reads are left out (`channels`), and layers on small maps become one matrix each. What a
dropped channel contributes is a constant of the net: it goes into the next layer's bias, which
becomes a map where zero padding makes it differ along the border. A BatchNorm without a convolution
of its own before it, as in pre-activation blocks, stays as a scale and a shift per channel.
"""

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from advprune.compact import layers
from advprune.compact.channels import Graph
from advprune.models.graph import running
from advprune.models.precision import EXACT, arithmetic

log = logging.getLogger("advprune")
TOLERANCE = 1e-4  # of the largest logit, and absolute where that is below 1
# A convolution becomes a matrix if that has this few entries or halves the multiplications: a
# matrix product has a fraction of a convolution's overhead, but less speed once both are large.
SMALL_MATRIX = 2**15


@torch.no_grad()
def compact(net: nn.Module, image: tuple[int, int, int]) -> nn.Module:
    """Return a frozen copy of a net for images [C, H, W] with the same logits, on its device.

    The net must be made of one `Normalize`, which a convolution reads, convolutions, BatchNorm,
    linear layers, ReLU, sums and pooling; anything else is a ValueError. A net with numbers that
    are not finite is only copied: in it, zero times infinity is not zero.
    """
    device = next(net.parameters()).device
    plain = copy.deepcopy(net).cpu().eval().requires_grad_(False)
    if not all(bool(tensor.isfinite().all()) for tensor in plain.state_dict().values()):
        return plain.to(device)
    return layers.Compact(_Emitter(Graph(plain.double(), image)).steps()).eval().to(device)


def for_attacks(net: nn.Module, images: Tensor) -> nn.Module:
    """Return the compact copy of a net in eval mode, checked on the images [N, C, H, W].

    A net of parts that are not known is returned as it is, with a line in the log.
    """
    _, channels, height, width = images.shape
    try:
        small = compact(net, (channels, height, width))
    except ValueError as error:
        log.warning("attacking the plain net: %s", error)
        return net
    agree(net, small, images)
    return small


@torch.no_grad()
def agree(net: nn.Module, other: nn.Module, images: Tensor, batch: int = 256) -> None:
    """Check that two nets in eval mode have the same logits, else RuntimeError.

    They are compared on the images [N, C, H, W] and on as many random ones in [0, 1].
    """
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    for part in (*images.split(batch), *noise.to(images.device).split(batch)):
        with arithmetic(EXACT):
            expected, found = net(part), other(part)
        scale = expected.nan_to_num(0, 0, 0).abs().amax().clamp_min(1)
        same = (expected - found).abs() <= TOLERANCE * scale
        same |= ~expected.isfinite() & ~found.isfinite()
        if not same.all():
            worst = (expected - found).abs().amax().item()
            raise RuntimeError(f"the compact net's logits are off by {worst:.3g}")


class _Emitter:
    """Turns the operations of a graph into steps."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.number: dict[fx.Node, int] = {}  # of the value of an operation
        self.flat: set[int] = set()  # numbers of the values that are flat
        self.out: list[layers.Step] = []

    def steps(self) -> list[layers.Step]:
        """Return the steps in an order in which every one has its inputs."""
        kind = self.graph.kind
        chains: dict[fx.Node, list[fx.Node]] = {}
        done: set[fx.Node] = set()
        for node in self.graph.nodes:
            if kind[node] in ("conv", "linear") or (kind[node] == "norm" and node not in done):
                chain = self._chain(node, done)
                done.update(chain)
                chains[chain[-1]] = chain
            if kind[node] in ("mean", "flatten") and {kind[u] for u in node.users} == {"linear"}:
                done.add(node)  # becomes part of the linear layer
        for node in self.graph.nodes:
            if kind[node] == "placeholder":
                self.number[node] = 0
            elif node in chains:
                emit = self._emit_norm if kind[chains[node][0]] == "norm" else self._emit_linear
                emit(chains[node])
            elif self._identity(node):
                self.number[node] = self.number[node.all_input_nodes[0]]
            elif node not in done and kind[node] != "output":
                self._emit_other(node)
        return self.out

    def _chain(self, node: fx.Node, done: set[fx.Node]) -> list[fx.Node]:
        """Operations to be fused with a linear one: its BatchNorm, a sum, ReLU, in this order.

        A BatchNorm that is no convolution's own is such an operation too, fused with ReLU alone.
        """
        chain = [node]
        for kind in ("relu",) if self.graph.kind[node] == "norm" else ("norm", "add", "relu"):
            users = list(chain[-1].users)
            if len(users) == 1 and self.graph.kind[users[0]] == kind and users[0] not in done:
                chain.append(users[0])
        return chain

    def _identity(self, node: fx.Node) -> bool:
        """Say whether an operation leaves its input as it is, as pooling to the same size does."""
        graph = self.graph
        if graph.kind[node] != "pool":
            return graph.kind[node] == "same"
        return graph.values[node].shape == graph.values[node.all_input_nodes[0]].shape

    def _emit(self, layer: nn.Module, node: fx.Node, *sources: fx.Node) -> None:
        """Append a step. Only matrices take flat values; for others they become maps first."""
        for source in sources:
            if not isinstance(layer, layers.Matrix) and self.number[source] in self.flat:
                values = self.graph.values[source]
                shape = (int(self.graph.kept[source].sum()), *values.shape[2:])
                self._append(layers.Map(shape), source, self.number[source])
        self._append(layer, node, *[self.number[source] for source in sources])
        if isinstance(layer, layers.Matrix):
            self.flat.add(self.number[node])

    def _append(
        self, layer: nn.Module, node: fx.Node, source: int, other: int | None = None
    ) -> None:
        self.number[node] = len(self.out) + 1
        self.out.append(layers.Step(layer, source, other, self.number[node]))

    def _emit_other(self, node: fx.Node) -> None:
        kind, users = self.graph.kind[node], {self.graph.kind[user] for user in node.users}
        if kind == "normalize" and users != {"conv"}:
            raise ValueError(f"{node.target} cannot be folded into a convolution")
        if kind == "normalize":
            layer: nn.Module = layers.Shift(self.graph.module(node).mean)
        elif kind == "pool":
            layer = self.graph.module(node)
        elif kind == "mean":
            layer = layers.Apply(lambda x: x.mean((2, 3)))
        else:
            simple: dict[str, Callable[..., Tensor]] = {
                "add": torch.add,
                "relu": F.relu,
                "flatten": lambda x: x.flatten(1),
            }
            layer = layers.Apply(simple[kind])
        self._emit(layer, node, *node.all_input_nodes)

    def _emit_linear(self, chain: list[fx.Node]) -> None:
        graph, first = self.graph, chain[0]
        kinds = [graph.kind[node] for node in chain]
        source = first.all_input_nodes[0]
        if kinds[0] == "conv":
            layer = self._conv(chain, relu=kinds[-1] == "relu")
        else:
            layer = self._linear(first, relu=kinds[-1] == "relu")
            if graph.kind[source] in ("mean", "flatten") and source not in self.number:
                source = source.all_input_nodes[0]
        others = []
        if "add" in kinds:
            at = kinds.index("add")
            others = [n for n in chain[at].all_input_nodes if n is not chain[at - 1]]
        self._emit(layer, chain[-1], source, *others)

    def _emit_norm(self, chain: list[fx.Node]) -> None:
        """Scale and shift of the kept channels; a channel that the source lacks is a constant."""
        graph, node, source = self.graph, chain[0], chain[0].all_input_nodes[0]
        scale, shift = _scale_and_shift(graph.module(node))
        shift = shift.view(-1, 1, 1) + scale.view(-1, 1, 1) * graph.constant(source)
        kept, there = graph.kept[node], graph.kept[source]
        pick = (there.cumsum(0) - 1).clamp(min=0)[kept]
        layer = layers.Affine(
            None if torch.equal(kept, there) else pick,
            (scale * there)[kept],
            shift[:, kept],
            relu=graph.kind[chain[-1]] == "relu",
        )
        self._emit(layer, chain[-1], source)

    def _linear(self, node: fx.Node, relu: bool) -> nn.Module:
        """Matrix of a linear layer, together with the mean or flattening in front of it."""
        graph, layer, source = self.graph, self.graph.module(node), node.all_input_nodes[0]
        bias = F.linear(graph.constant(source), layer.weight, layer.bias)[0, graph.kept[node]]
        weight = layer.weight[graph.kept[node]][:, graph.kept[source]]
        if graph.kind[source] in ("mean", "flatten") and source not in self.number:
            image = graph.values[source.all_input_nodes[0]].shape[2:]
            if graph.kind[source] == "mean":
                weight = weight[:, :, None].expand(-1, -1, image.numel()) / image.numel()
            else:
                weight = weight.unflatten(1, (-1, image.numel()))
            weight = weight.transpose(1, 2).flatten(1)
        return layers.Matrix(weight.t(), bias, relu)

    def _conv(self, chain: list[fx.Node], relu: bool) -> nn.Module:
        """Convolution, or its matrix, with all that folds into it."""
        graph, node = self.graph, chain[0]
        conv, source = graph.module(node), node.all_input_nodes[0]
        geometry = conv.stride, conv.padding, conv.dilation
        bias = F.conv2d(graph.constant(source), conv.weight, conv.bias, *geometry)
        weight, kept = conv.weight, graph.kept[chain[-1]]
        if len(chain) > 1 and graph.kind[chain[1]] == "norm":
            scale, shift = _scale_and_shift(graph.module(chain[1]))
            weight = weight * scale.view(-1, 1, 1, 1)
            bias = bias * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
        if graph.kind[source] == "normalize":
            weight = weight / graph.module(source).std
        weight, bias = weight[kept][:, graph.kept[source]], bias[:, kept]
        image = graph.values[source].shape[2:]
        entries = weight.shape[1] * image.numel() * bias.numel()
        if entries > max(SMALL_MATRIX, weight[0].numel() * bias.numel() / 2):
            return layers.Conv(weight, bias, conv, relu)
        return layers.Matrix(_matrix(weight, image, geometry), layers.flat(bias)[0], relu)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a BatchNorm in eval mode multiplies each channel [C] by, and then adds."""
    mean, variance = running(norm)
    scale = (variance + norm.eps).rsqrt() * (norm.weight if norm.affine else 1)
    return scale, (norm.bias if norm.affine else 0) - mean * scale


def _matrix(weight: Tensor, image: torch.Size, geometry: tuple) -> Tensor:
    """Matrix [inputs, outputs] of a convolution on flat values of maps [H, W].

    The response of every weight to a single pixel, for each place of the pixel: all channels are
    alike in that, so one is enough.
    """
    pixels = torch.eye(image.numel(), dtype=weight.dtype).view(-1, 1, *image)
    responses = F.conv2d(pixels, weight.flatten(0, 1)[:, None], None, *geometry)
    responses = responses.unflatten(1, weight.shape[:2])  # [place, outputs, inputs, H', W']
    return responses.permute(0, 2, 3, 4, 1).flatten(0, 1).flatten(1)
