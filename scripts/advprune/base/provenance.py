"""Where a file comes from: its hash, the code that made it, and the machine. Without torch."""

import hashlib
import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(*packages: str) -> dict[str, Any]:
    """Return what a process can tell of itself, with the versions of `packages`.

    Memory is the peak of this process in MiB, `commit` is None outside a git checkout.
    """
    commit, dirty = code_state()
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit,
        "dirty": dirty,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "peak_memory_mib": peak_memory(),
    }
    return found | {name: version(name) for name in packages}


def code_state() -> tuple[str | None, bool | None]:
    """Return the commit of the code and whether it was changed since; (None, None) if unknown."""
    folder = os.path.dirname(os.path.abspath(__file__))

    def ask(*words: str) -> str:
        command = ["git", "-C", folder, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def peak_memory() -> int:
    """Return the peak resident memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
