"""What a model costs: counts of its compact net beside those of the net as saved, and latency.

Counts are those of the net whose dead channels are removed and whose BatchNorm is folded, layer by
layer: weights and one bias per output, and a scale and a shift per channel of a BatchNorm that has
no convolution to be folded into. What runs, and is timed, is the compact net, which may turn
a layer on small maps into one larger matrix; the numbers of that are not counted.
"""

import copy
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from advprune.compact.channels import Graph

SECONDS = 0.5  # of timing per batch size and net, unless the fewest repeats take longer
FEWEST, MOST = 5, 200  # repeats


def count_compact(net: nn.Module, image: tuple[int, int, int]) -> dict[str, int] | None:
    """Count parameters, and multiply-accumulates per image [C, H, W], without dead channels.

    None for a net with operations that are not known, or with numbers that are not finite: such
    a net is attacked as it is.
    """
    plain = copy.deepcopy(net).cpu().eval().requires_grad_(False)
    if not all(bool(tensor.isfinite().all()) for tensor in plain.state_dict().values()):
        return None
    try:
        graph = Graph(plain, image)
    except ValueError:
        return None
    params = macs = 0
    for node in graph.nodes:
        if graph.kind[node] in ("conv", "linear"):
            weight = graph.module(node).weight
            inputs, outputs = (int(graph.kept[n].sum()) for n in (node.all_input_nodes[0], node))
            weights = inputs * outputs * weight[0, 0].numel()
            params += weights + outputs
            macs += weights * graph.values[node][0, 0].numel()
        elif graph.kind[node] == "norm" and not graph.folds(node):
            params += 2 * int(graph.kept[node].sum())
    return {"params": params, "macs": macs}


def latency(nets: Mapping[str, nn.Module], x: Tensor) -> dict[str, Any]:
    """Milliseconds that each net takes for images x [N, C, H, W], on their device.

    The nets run in turn, so that other work on the machine hits them alike, until each has had
    `SECONDS`, at least `FEWEST` and at most `MOST` times. Returns, per net, the median and the
    fastest of the repeats by the wall clock, and their number.
    """
    seconds: dict[str, list[float]] = {name: [] for name in nets}
    with torch.no_grad():
        for net in nets.values():  # the first run also prepares
            _once(net, x)
        spent = 0.0
        while len(first := next(iter(seconds.values()))) < MOST and (
            len(first) < FEWEST or spent < SECONDS * len(nets)
        ):
            for name, net in nets.items():
                seconds[name].append(_once(net, x))
                spent += seconds[name][-1]
    return {"repeats": len(first)} | {
        name: {"median": 1000 * statistics.median(times), "fastest": 1000 * min(times)}
        for name, times in seconds.items()
    }


def _once(net: nn.Module, x: Tensor) -> float:
    _wait(x.device)
    before = time.perf_counter()
    net(x)
    _wait(x.device)
    return time.perf_counter() - before


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
