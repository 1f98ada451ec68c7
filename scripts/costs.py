"""Count what a model costs, and measure how long its nets take for one image and for a batch."""

import platform
from typing import Any

import torch

from advprune.base.files import read_json, write_json
from advprune.base.record import to_dict
from advprune.compact.convert import for_attacks
from advprune.evaluation.costs import count_compact, latency
from advprune.jobs import cli
from advprune.jobs import job as jobs
from advprune.models.checkpoint import Loaded, load_checkpoint
from advprune.plan.specs import CostsSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = jobs.parser(__doc__, "audit", "checkpoint", "out")
    job = jobs.start(parser, __file__, CostsSpec, inputs=("audit", "checkpoint"))
    counted = counts(load_checkpoint(job.args.checkpoint), read_json(job.args.audit))
    write_json(job.args.out, to_dict(job.spec.row) | counted | times(job))
    job.write_card()


def counts(loaded: Loaded, audit: dict[str, Any]) -> dict[str, Any]:
    """Parameters and multiply-accumulates of the net as saved and of the compact one."""
    spec = loaded.spec
    compact = count_compact(loaded.net, (spec.channels, spec.size, spec.size)) or {}
    unstructured = audit["structure"] == "unstructured"
    return {key: audit[key] for key in ("params", "nonzero", "macs")} | {
        "theoretical_macs": audit["effective_macs"] if unstructured else None,
        "compact_params": compact.get("params"),
        "compact_macs": compact.get("macs"),
    }


def times(job: jobs.Job[CostsSpec]) -> dict[str, Any]:
    """Latency of the net as saved and of its compact form, where and how it was measured."""
    device, batch = job.device, job.spec.batch
    loaded = load_checkpoint(job.args.checkpoint, device)
    shape = (batch, loaded.spec.channels, loaded.spec.size, loaded.spec.size)
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    nets = {"saved": loaded.net, "compact": for_attacks(loaded.net, x[:16])}
    timings = {"batch": batch, "threads": job.args.threads}
    gpu = device.type == "cuda"
    timings["device"] = torch.cuda.get_device_name(device) if gpu else platform.machine()
    for name, images in (("one", x[:1]), ("batch", x)):
        timed = latency(nets, images)
        timings[f"{name}_repeats"] = timed["repeats"]
        for net in nets:
            timings[f"{name}_{net}_ms"] = round(timed[net]["fastest"], 4)
            timings[f"{name}_{net}_median_ms"] = round(timed[net]["median"], 4)
        cli.log.info("%d image(s): %s", len(images), timed)
    return timings


if __name__ == "__main__":
    cli.run(main)
