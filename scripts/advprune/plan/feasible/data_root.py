"""Whether `data_root` holds the official files of a run's datasets, and if not, why."""

import hashlib
from pathlib import Path

from advprune.base.errors import UserError
from advprune.base.first_bytes import recognise
from advprune.base.text import few, line
from advprune.data.specs import Spec, spec_of
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol

NAMED = ("lfs", "html", "xml", "empty", "text")  # what stands in the place of a dataset's file


def check(protocol: Protocol, paths: Layout) -> None:
    """Refuse a folder without the files of a dataset whose images have not been read yet."""
    if protocol.config["data_root"] is None:
        return
    root = Path(protocol.config["data_root"])
    for name in dict.fromkeys(model.dataset for model in protocol.models):
        source = protocol.data_source(name)
        made = [Path(paths.data(part).format(dataset=source)) for part in ("train", "test")]
        if not all(path.exists() for path in made):
            try:
                check_folder(root, spec_of(protocol.dataset(name)))
            except OSError as error:
                raise UserError(f"config: data_root: {root}: {error.strerror}") from None


def check_folder(root: Path, spec: Spec) -> None:
    """Refuse, as a UserError, a folder without the official files of a dataset."""
    if not spec.files:
        return
    where = line(f"config: data_root: {root}")
    if not root.exists():
        raise UserError(f"{where}: no such folder")
    if not root.is_dir():
        raise UserError(f"{where} is a file, not a folder")
    names = [Path(name) for name, _ in spec.files]
    inner = [path for path in names if len(path.parts) > 1]
    if inner and (root.name == inner[0].parts[0] or (root / inner[0].name).exists()):
        raise UserError(f"{where} is the inner folder of {spec.name}; name the folder above it")
    missing = [str(name) for name in names if not (root / name).exists()]
    if len(missing) == len(names):
        there = few(sorted(path.name for path in root.iterdir())) or "nothing"
        raise UserError(f"{where} holds {there}, and nothing of {spec.name}: no {few(missing)}")
    if missing:
        raise UserError(f"{where} lacks {few(missing)} of {spec.name}")
    for name, expected in spec.files:
        if reason := _other(root / name, expected):
            raise UserError(f"{where}: {name} is not the official one: {reason}")


def _other(path: Path, expected: str) -> str:
    """What a file is instead of the one with this MD5; empty if it is that one."""
    if not path.is_file():
        return "it is a folder"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found == expected:
        return ""
    kind = recognise(path)
    what = f"{kind.words}, " if kind.name in NAMED else ""
    return f"{what}{path.stat().st_size} bytes, MD5 {found} instead of {expected}"
