"""Where a job's result comes from, as far as the process itself can tell."""

from pathlib import Path
from typing import Any

import torch

from advprune.base.files import write_json
from advprune.base.provenance import processor, provenance, sha256
from advprune.base.record import to_dict
from advprune.plan import code


def of_job(**fields: Any) -> dict[str, Any]:
    """Return `fields` with what the run itself can tell: where, when and by which code.

    Memory is the peak of this process in MiB, `commit` is None outside a git checkout. A field
    given by the caller wins.
    """
    gpu = torch.cuda.is_available()
    found = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if gpu else cpu(),
        "threads": torch.get_num_threads(),
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() // 2**20 if gpu else None,
    }
    return provenance("numpy") | found | fields


def cpu() -> str:
    """Return the processor, and the kernels that torch takes where it could take newer ones."""
    found, kernels = processor(), torch.backends.cpu.get_cpu_capability()
    newest = next((name for name in ("AVX512", "AVX2") if name.lower() in found), "DEFAULT")
    return found if kernels == newest else f"{found}, {kernels} kernels"


def write_card(out: Path, script: str, spec: Any, parents: dict[str, Path]) -> None:
    """Write the card of a result that needs neither device nor threads beside it."""
    write_json(
        out.with_suffix(".card.json"),
        of_job(
            spec=to_dict(spec),
            script=script,
            code=dict(code.behind(script, spec)),
            parents={name: sha256(path) for name, path in parents.items()},
            sha256=sha256(out),
        ),
    )
