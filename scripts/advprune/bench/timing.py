"""Two ways of doing one thing, timed in turn."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def race(
    plain: Callable[[], Any], ours: Callable[[], Any], repeats: int, device: torch.device
) -> tuple[dict[str, Any], Any, Any]:
    """Time both sides in turn; returns (seconds, medians and their ratio, last answers)."""
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    answers = {}
    for _ in range(repeats):
        for name, side in (("plain", plain), ("ours", ours)):
            before = clock(device)
            answers[name] = side()
            seconds[name].append(clock(device) - before)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    figures = {
        "seconds": {name: [round(t, 4) for t in times] for name, times in seconds.items()},
        "median": {name: round(t, 4) for name, t in medians.items()},
        "ratio": round(medians["plain"] / medians["ours"], 3),
    }
    return figures, answers["plain"], answers["ours"]


def clock(device: torch.device) -> float:
    """Seconds: of this process on a CPU, of the wall clock on a GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
