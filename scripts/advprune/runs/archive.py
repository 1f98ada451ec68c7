"""A run as one file that can be checked anywhere: a zip archive with a manifest of hashes.

It holds what the numbers rest on (tables, verdicts per image, cards, findings, configuration) and
on request the evaluated nets. Datasets are not packed: the cards name their hashes, and the
workflow makes them again from the official files.
"""

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from advprune.base.errors import UserError
from advprune.base.files import atomic

MANIFEST, FORMAT = "manifest.json", 1
NET, IMAGES = "checkpoint.safetensors", ".adversarials.safetensors"
_CHUNK = 2**20
# what damaged, encrypted or maliciously nested entries raise
_UNREADABLE = (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)


def pack(run: Path, out: Path, *, nets: bool = False, images: bool = False) -> dict[str, str]:
    """Write the archive of a run; returns the hashes of what is in it, by path below the run.

    `nets` adds the evaluated nets, `images` the adversarial images that were kept. Equal content
    gives equal bytes on one version of zlib. A folder without an evaluation is a UserError.
    """
    paths = sorted(_chosen(run, nets, images), key=lambda path: path.as_posix())
    paths = [path for path in paths if (run / path).resolve() != out.resolve()]
    if not any(path.name == "evaluation.json" for path in paths):
        raise UserError(f"{run}: no evaluations to pack")
    hashes: dict[str, str] = {}
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for path in paths:
            with (run / path).open("rb") as source:
                hashes[path.as_posix()] = _add(archive, path.as_posix(), source)
        content = {"format": FORMAT, "run": run.resolve().name, "files": hashes}
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        archive.writestr(_entry(MANIFEST), text.encode())
    return hashes


def check(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, problem) of everything in an archive; an empty problem is a file that matches.

    A file must have its hash of the manifest, and the one that its card and the card of what was
    made from it name. What is no archive of a run is a UserError.
    """
    with _opened(path) as archive:
        listed = _manifest(path, archive)
        names = [name for name in archive.namelist() if name != MANIFEST]
        found = {name: _hash(archive, name) for name in names}
        cards = dict(_cards(archive, names))
    times = Counter(names)
    for name in sorted(listed.keys() | set(names)):
        if name not in found:
            yield name, "is missing"
        elif name not in listed:
            yield name, "is not in the manifest"
        elif times[name] > 1:
            yield name, "is there more than once"
        elif found[name] != listed[name]:
            yield name, "is not the file of the manifest"
        else:
            yield name, _contradiction(name, cards, found) if name in cards else ""


def unpack(path: Path, folder: Path) -> str:
    """Unpack an archive that matches its manifest; returns the name of the run."""
    wrong = [f"{name} {problem}" for name, problem in check(path) if problem]
    if wrong:
        raise UserError(f"{path}: {wrong[0]} ({len(wrong)} files do not match)")
    with _opened(path) as archive:
        for name in _manifest(path, archive):
            archive.extract(name, folder)
        return str(json.loads(archive.read(MANIFEST))["run"])


def _chosen(run: Path, nets: bool, images: bool) -> Iterator[Path]:
    """Files that travel, relative to the run: nothing hidden, and of tensors what is asked for."""
    for path in run.rglob("*"):
        below = path.relative_to(run)
        if not path.is_file() or any(part.startswith(".") for part in below.parts):
            continue
        wanted = (nets and path.name == NET) or (images and path.name.endswith(IMAGES))
        if path.suffix != ".safetensors" or wanted:
            yield below


def _add(archive: zipfile.ZipFile, name: str, source: IO[bytes]) -> str:
    """Write one file in pieces; returns its SHA-256."""
    total = hashlib.sha256()
    with archive.open(_entry(name), "w", force_zip64=True) as target:
        while piece := source.read(_CHUNK):
            total.update(piece)
            target.write(piece)
    return total.hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    """What an archive says of a file: no time and no owner, so that equal files are equal."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    entry.create_system = 3  # unix, whatever this is
    return entry


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path}: not an archive of a run ({error})") from None


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    try:
        content = json.loads(archive.read(MANIFEST))
        files, known = content["files"], content["format"] == FORMAT
        whole = all(_inside(name) and isinstance(sum_, str) for name, sum_ in files.items())
    except KeyError:
        raise UserError(
            f"{path}: not an archive of a run (no {MANIFEST}, or another one)"
        ) from None
    except (*_UNREADABLE, TypeError, AttributeError):
        raise UserError(f"{path}: not an archive of a run (damaged {MANIFEST})") from None
    if not known or not whole:
        raise UserError(f"{path}: not an archive of a run that this version reads")
    return dict(files)


def _inside(name: str) -> bool:
    """Whether a name leads into the folder that is unpacked to, and nowhere else."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _hash(archive: zipfile.ZipFile, name: str) -> str:
    """SHA-256 of a file in an archive; empty for one that is damaged."""
    total = hashlib.sha256()
    try:
        with archive.open(name) as file:
            while piece := file.read(_CHUNK):
                total.update(piece)
    except _UNREADABLE:
        return ""
    return total.hexdigest()


def _cards(archive: zipfile.ZipFile, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cards in an archive, by their names; what cannot be read is none."""
    for name in names:
        if name.endswith(".json"):
            with contextlib.suppress(*_UNREADABLE):
                content = json.loads(archive.read(name))
                if isinstance(content, dict) and isinstance(content.get("parents"), dict):
                    yield name, content


def _contradiction(
    name: str, cards: Mapping[str, Mapping[str, Any]], found: Mapping[str, str]
) -> str:
    """What a card says otherwise than the files and cards beside it; empty if nothing."""
    folder, card = PurePosixPath(name).parent, cards[name]
    stem = name.removesuffix(".json").removesuffix(".card")
    kinds = ("csv", "json") if name.endswith(".card.json") else ("safetensors",)
    for described in (f"{stem}.{kind}" for kind in kinds):
        if found.get(described, card.get("sha256")) != card.get("sha256"):
            return f"is not the card of {PurePosixPath(described).name}"
    net = cards.get(str(folder / "checkpoint.json"), {}).get("sha256")
    for role, sum_ in sorted(card["parents"].items()):
        known = net if role == "checkpoint" else found.get(str(folder / role))
        if known not in (None, sum_):
            return f"was made from another {role} than the one that is here"
    return ""
