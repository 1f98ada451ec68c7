"""What a run holds, and what of it nothing needs any more.

Removed is only what no job that is up to date asks for again: Snakemake looks for a missing file
where a job that is to run reads it, and nowhere else.
"""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from advprune.base.errors import UserError

# kinds of files by what their path below the run looks like; the first that fits
KINDS = (
    ("resume files and leftovers", r"(.*/)?\.(?!snakemake_timestamp).*"),
    ("images of datasets", r"[^/]+/(train|test|corrupted-\w+)\.safetensors"),
    ("adversarial images", r".*\.adversarials\.safetensors"),
    ("pretrained nets, best epoch", r".*/pretrained/[^/]+/seed\d+\.safetensors"),
    ("pretrained nets, last epoch", r".*/pretrained/[^/]+/seed\d+\.last\.safetensors"),
    ("nets before finetuning", r".*/pruned\.safetensors"),
    ("evaluated nets", r".*/checkpoint\.safetensors"),
    ("nets of the last epoch", r".*/last\.safetensors"),
    ("verdicts per image", r".*/seed\d+/[^/]+\.csv|thin_ice/.*\.images\.csv"),
    ("cards and findings", r".*/.*\.json"),
    ("tables, figures, pages", r".*"),
)
# what `base.files.atomic` leaves behind when its process is killed; a younger one may be in use
LEFTOVER, SECONDS = re.compile(r"\.[^/]+\.[a-z0-9_]{8}\.\w+"), 3600


def held(run: Path) -> dict[str, tuple[int, int]]:
    """(number, bytes) of the files of every kind that a run has; no folder is a UserError."""
    if not run.is_dir():
        raise UserError(f"{run}: no such run")
    found = {kind: (0, 0) for kind, _ in KINDS}
    for path in _files(run):
        kind = _kind(path.relative_to(run).as_posix())
        count, size = found[kind]
        found[kind] = (count + 1, size + path.stat().st_size)
    return {kind: total for kind, total in found.items() if total[0]}


def needless(run: Path) -> dict[Path, str]:
    """Files and folders that nothing needs any more, with the reason."""
    found = {}
    for path in sorted(run.rglob(".*.state")):
        stem = path.name.removeprefix(".").removesuffix(".state")
        if path.is_dir() and _finished(path.parent, stem):
            found[path] = "its job is done"
    for path in _files(run):
        inside = any(folder in found for folder in path.parents)
        old = time.time() - path.stat().st_mtime > SECONDS
        if LEFTOVER.fullmatch(path.name) and old and not inside:
            found[path] = "left behind by a job that was killed"
    for path in sorted(run.glob("*/*/pretrained/*/seed*.last.safetensors")):
        if path.with_suffix(".json").exists():
            found[path] = "nothing is made from it"
    for path in sorted(run.glob("*/*/*/*/seed*/pruned.safetensors")):
        done = ("pruned.json", "checkpoint.safetensors", "evaluation.json")
        if all((path.parent / name).exists() for name in done):
            found[path] = "finetuned, and the model is evaluated"
    return found


def remove(path: Path) -> None:
    """Remove a file or folder of `needless`."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(p.stat().st_size for p in (_files(path) if path.is_dir() else [path]))


def locked(run: Path) -> bool:
    """Whether a Snakemake that works where the run lies has its lock on files of it."""
    run = run.resolve()
    for folder in run.parents:
        for lock in (folder / ".snakemake" / "locks").glob("*.lock"):
            below = f"{run.relative_to(folder).as_posix()}/"
            if any(line.startswith(below) for line in lock.read_text().splitlines()):
                return True
    return False


def _finished(folder: Path, stem: str) -> bool:
    """Whether what a resume folder was for is there."""
    return any((folder / f"{stem}{ending}").exists() for ending in (".safetensors", ".csv"))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _kind(path: str) -> str:
    return next(kind for kind, pattern in KINDS if re.fullmatch(pattern, path))
