"""Where a job's result comes from, as far as the process itself can tell."""

import platform
from typing import Any

import torch

from advprune.base.provenance import provenance


def of_job(**fields: Any) -> dict[str, Any]:
    """Return `fields` with what the run itself can tell: where, when and by which code.

    Memory is the peak of this process in MiB, `commit` is None outside a git checkout. A field
    given by the caller wins.
    """
    gpu = torch.cuda.is_available()
    found = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if gpu else platform.machine(),
        "threads": torch.get_num_threads(),
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() // 2**20 if gpu else None,
    }
    return provenance("numpy") | found | fields
