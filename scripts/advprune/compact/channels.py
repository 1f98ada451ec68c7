"""Which channels of a net matter: its operations in order, and the channels each has to keep.

A channel is *dead* if it does not depend on the image, *needed* if a path of non-zero weights
leads from it to a logit. Channels that are added to each other, or pass through an operation one by
one, share their fate: such values form a group, which keeps a channel if any of its values is both
alive and needed there. A BatchNorm that cannot be folded into a convolution (as those of
pre-activation blocks, which read sums) picks its channels itself and begins a group of its own.
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from advprune.models.graph import trace
from advprune.models.normalize import Normalize

_MODULES = {
    Normalize: "normalize",
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "norm",
    nn.Linear: "linear",
    nn.ReLU: "relu",
    nn.MaxPool2d: "pool",
    nn.AvgPool2d: "pool",
    nn.AdaptiveAvgPool2d: "pool",
    nn.Flatten: "flatten",
    nn.Identity: "same",
    nn.Dropout: "same",
}
_FUNCTIONS = {
    F.relu: "relu",
    torch.relu: "relu",
    operator.add: "add",
    torch.add: "add",
    torch.flatten: "flatten",
    "relu": "relu",
    "mean": "mean",
    "flatten": "flatten",
}


class _Recorder(fx.Interpreter):
    """Runs the net and keeps the value of every operation."""

    def run_node(self, n: fx.Node) -> Any:
        self.seen: dict[fx.Node, Any] = getattr(self, "seen", {})
        self.seen[n] = super().run_node(n)
        return self.seen[n]


class Graph:
    """A net's operations in order, with the channels of each that have to be kept.

    `values` are those of a blank image: a channel that is not kept has this value for every image
    or is read by nobody. `constant` is the value with everything that is alive set to zero.
    """

    def __init__(self, net: nn.Module, image: tuple[int, int, int]) -> None:
        """Analyse a net in eval mode; an operation or layer that is not known is a ValueError."""
        self.modules = dict(net.named_modules())
        traced = trace(net)
        self.nodes = [node for node in traced.nodes]
        self.kind = {node: self._kind(node) for node in self.nodes}
        recorder = _Recorder(fx.GraphModule(net, traced))
        parameter = next(net.parameters())
        recorder.run(torch.zeros(1, *image, dtype=parameter.dtype, device=parameter.device))
        self.values: dict[fx.Node, Tensor] = recorder.seen
        self.alive: dict[fx.Node, Tensor] = {}
        self.needed = {
            node: torch.zeros(self.channels(node), dtype=torch.bool) for node in self.nodes
        }
        self._find_alive()
        self._find_needed()
        self.kept = self._join()

    def module(self, node: fx.Node) -> Any:
        """Return the layer that an operation calls."""
        return self.modules[node.target]

    def channels(self, node: fx.Node) -> int:
        """Return the number of channels, or of features, of an operation's value."""
        return self.values[node].shape[1]

    def constant(self, node: fx.Node) -> Tensor:
        """Value [1, C, ...] of the channels that are not kept, zero in all others."""
        gone = ~self.kept[node] & ~self.alive[node]
        return self.values[node] * gone.view(1, -1, *[1] * (self.values[node].ndim - 2))

    def _kind(self, node: fx.Node) -> str:
        if node.op in ("placeholder", "output"):
            return node.op
        if node.op == "call_module":
            layer = self.module(node)
            kind = next((k for t, k in _MODULES.items() if type(layer) is t), None)
            plain = not isinstance(layer, nn.Conv2d) or (
                layer.groups == 1 and layer.padding_mode == "zeros"
            )
        else:
            kind, plain = _FUNCTIONS.get(node.target), True
        if kind is None or not plain:
            raise ValueError(f"a net with {node.format_node()} cannot be made compact")
        return kind

    def folds(self, node: fx.Node) -> bool:
        """Say whether a BatchNorm is the only reader of a convolution, and so can be part of it."""
        source = node.all_input_nodes[0]
        return self.kind[source] == "conv" and len(source.users) == 1

    def reads(self, node: fx.Node) -> Tensor:
        """Bool [outputs, inputs]: which channels a convolution or linear layer reads for which."""
        weight = self.module(node).weight != 0
        return weight.flatten(2).any(2) if weight.ndim == 4 else weight

    def _scaled(self, node: fx.Node) -> Tensor:
        """Bool [C]: the channels that a BatchNorm does not multiply by zero."""
        norm = self.module(node)
        return norm.weight != 0 if norm.affine else torch.ones(norm.num_features, dtype=torch.bool)

    def _find_alive(self) -> None:
        for node in self.nodes:
            inputs = [self.alive[source] for source in node.all_input_nodes]
            kind = self.kind[node]
            if kind == "placeholder":
                alive = torch.ones(self.channels(node), dtype=torch.bool)
            elif kind in ("conv", "linear"):
                alive = self.reads(node)[:, inputs[0]].any(1)
            elif kind == "norm":
                alive = inputs[0] & self._scaled(node)
            elif kind == "flatten":
                alive = inputs[0].repeat_interleave(self.channels(node) // len(inputs[0]))
            else:
                alive = torch.stack(inputs).any(0)
            self.alive[node] = alive

    def _find_needed(self) -> None:
        self.needed[self.nodes[-1]][:] = True
        for node in reversed(self.nodes):
            kind, needed = self.kind[node], self.needed[node]
            if kind in ("conv", "linear"):
                needed = self.reads(node)[needed].any(0)
            elif kind == "norm":
                needed = needed & self._scaled(node)
            elif kind == "flatten":
                needed = needed.view(self.channels(node.all_input_nodes[0]), -1).any(1)
            for source in node.all_input_nodes:
                self.needed[source] |= needed

    def _join(self) -> dict[fx.Node, Tensor]:
        """Kept channels [C] of every operation, the same for all values of a group."""
        group: dict[fx.Node, fx.Node] = {}

        def head(node: fx.Node) -> fx.Node:
            while group.setdefault(node, node) is not node:
                node = group[node]
            return node

        for node in self.nodes:
            alone = self.kind[node] == "norm" and not self.folds(node)
            if not alone and self.kind[node] not in ("placeholder", "conv", "linear", "flatten"):
                for source in node.all_input_nodes:
                    group[head(source)] = head(node)
        kept: dict[fx.Node, Tensor] = {}
        whole = {head(n) for n in self.nodes if self.kind[n] in ("placeholder", "output")}
        for node in self.nodes:
            useful = (self.alive[node] & self.needed[node]) | (head(node) in whole)
            kept[head(node)] = kept.get(head(node), torch.zeros_like(useful)) | useful
        for channels in kept.values():
            channels[0] |= not channels.any()  # no layer does without inputs
        for node in self.nodes:
            if self.kind[node] == "flatten":
                source = kept[head(node.all_input_nodes[0])]
                kept[head(node)] = source.repeat_interleave(self.channels(node) // len(source))
        return {node: kept[head(node)] for node in self.nodes}
