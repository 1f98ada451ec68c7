"""Count what a model costs, and measure how long its nets take for one image and for a batch."""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch

from advprune.base.files import read_json, write_json
from advprune.compact.convert import for_attacks
from advprune.evaluation.costs import latency, slimmed
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import load_checkpoint


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="the model, as JSON")
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True, help="images of an attack's batch")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    torch.set_num_threads(args.threads)
    write_json(args.out, args.model | counts(args) | times(args))


def counts(args: argparse.Namespace) -> dict[str, Any]:
    """Parameters and multiply-accumulates of the net as saved, and of its slimmed form."""
    found = read_json(args.audit)
    loaded = load_checkpoint(args.checkpoint)
    small = slimmed(loaded.net, (loaded.spec.channels, loaded.spec.size, loaded.spec.size)) or {}
    unstructured = found["structure"] == "unstructured"
    return {key: found[key] for key in ("params", "nonzero", "macs")} | {
        "theoretical_macs": found["effective_macs"] if unstructured else None,
        "compact_params": small.get("params"),
        "compact_macs": small.get("macs"),
    }


def times(args: argparse.Namespace) -> dict[str, Any]:
    """Latency of the net as saved and of its compact form, where and how it was measured."""
    device = torch.device(jobs.choose_device(args.device))
    loaded = load_checkpoint(args.checkpoint, device)
    shape = (args.batch, loaded.spec.channels, loaded.spec.size, loaded.spec.size)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    nets = {"dense": loaded.net, "compact": for_attacks(loaded.net, x[:16])}
    found = {"batch": args.batch, "threads": args.threads}
    gpu = device.type == "cuda"
    found["device"] = torch.cuda.get_device_name(device) if gpu else platform.machine()
    for name, images in (("one", x[:1]), ("batch", x)):
        timed = latency(nets, images)
        found[f"{name}_repeats"] = timed["repeats"]
        for net in nets:
            found[f"{name}_{net}_ms"] = round(timed[net]["fastest"], 4)
            found[f"{name}_{net}_median_ms"] = round(timed[net]["median"], 4)
        cli.log.info("%d image(s): %s", len(images), timed)
    return found


if __name__ == "__main__":
    cli.run(main)
