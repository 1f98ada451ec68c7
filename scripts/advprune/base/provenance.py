"""Where a file comes from: its hash, the code that made it, and the machine. Without torch."""

import hashlib
import os
import platform
import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

# as /proc/cpuinfo has them, and as they are said
INSTRUCTIONS = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "amx_tile": "amx",
    "asimd": "neon",
    "sve": "sve",
}


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
    """Return the commit of the code and whether it was changed since; (None, None) if unknown.

    Only the checkout's own repository is asked: one that the checkout merely lies in, as an
    unpacked tarball may, knows nothing of the code. Files that git does not track are a user's own.
    """
    root = Path(__file__).resolve().parents[3]
    # a hook or a script of git's may have set which repository its commands are about
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def ask(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")).resolve() != root:
            return None, None
        changed = ask("status", "--porcelain", "--untracked-files=no")
        return ask("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None, None


def processor() -> str:
    """Return the CPU's model with its widest instruction sets, such as `AMD EPYC (avx2, avx512)`.

    They decide by which kernels PyTorch adds up. Where the system does not tell, the architecture.
    """
    fields, flags = _cpuinfo()
    found = [name for flag, name in INSTRUCTIONS.items() if flag in flags]
    model = " ".join((fields.get("model name") or "").split()) or platform.machine()
    return f"{model} ({', '.join(found)})" if found else model


def features() -> list[str]:
    """Return those of the CPU's features that decide how fast nets are, as the system names them.

    Empty where it does not tell.
    """
    _, flags = _cpuinfo()
    return sorted(flag for flag in set(flags) if re.match(r"amx|avx|bf16|f16c|fma|asimd|sve", flag))


def _cpuinfo() -> tuple[dict[str, str], list[str]]:
    """What Linux says of the last processor, and its flags; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields = dict(re.findall(r"^([\w ]+?)\s*:[ \t]*(.*)$", text, re.MULTILINE))
    return fields, (fields.get("flags") or fields.get("Features") or "").split()


def peak_memory() -> int:
    """Return the peak resident memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
