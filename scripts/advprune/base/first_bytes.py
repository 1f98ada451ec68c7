"""What a file from elsewhere is, by its first bytes and never by its name. Without torch.

Downloads go wrong in ways that no reader of checkpoints or images explains: a page that asks for
a login, a pointer instead of the file, an archive around it.
"""

import json
import re
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError

HEAD = 512
LARGEST_TEXT = 64 * 2**20  # of a JSON index; the largest known have a few MB
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save's magic number before 1.6
LFS = b"version https://git-lfs.github.com/spec/"
# what begins with fixed bytes, and is no checkpoint
MARKS = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "one NumPy array (.npy)"),
    (b"GGUF", "a GGUF file of quantised weights"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of file for programs, and in words for people ("a web page (HTML)")."""

    name: str
    words: str


def recognise(path: Path) -> Kind:
    """Kind of a file; one that is missing, a folder or unreadable is a `UserError`.

    Names are torch, torch-legacy, torchscript, safetensors, pickle, npz, zip, damaged (of a zip
    archive), tar, lfs, html, xml, index, json, text, empty, and other.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, not a file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    found = _binary(path, head) or _text(path, head)
    start = head[:8].hex(" ")
    return found or Kind("other", f"damaged or of an unknown kind (it begins with {start})")


def _binary(path: Path, head: bytes) -> Kind | None:
    if not head:
        return Kind("empty", "empty")
    if head.startswith(b"PK"):
        return _zip(path)
    if head[257:262] == b"ustar":
        return Kind("tar", f"a tar archive{_listed(_tar_names(path))}")
    size = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and size <= path.stat().st_size - 8:
        return Kind("safetensors", "a safetensors file")
    if LEGACY in head[:32]:
        return Kind("torch-legacy", "a file of torch.save before 1.6")
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Kind("pickle", "a plain pickle, not written by torch.save")
    return next((Kind("other", words) for mark, words in MARKS if head.startswith(mark)), None)


def _zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return Kind("damaged", "damaged: the beginning of a zip archive, as torch.save writes it")
    inner = {name.partition("/")[2] for name in names}
    if any(name == "constants.pkl" or name.startswith("code/") for name in inner):
        return Kind("torchscript", "a TorchScript program")
    if "data.pkl" in inner:
        return Kind("torch", "a file of torch.save")
    if names and all(name.endswith(".npy") for name in names):
        return Kind("npz", f"an archive of NumPy arrays (.npz){_listed(names)}")
    return Kind("zip", f"a zip archive{_listed(names)}")


def _tar_names(path: Path) -> list[str]:
    try:
        with tarfile.open(path, "r:") as archive:
            return archive.getnames()
    except (tarfile.TarError, OSError, EOFError):
        return []


def _text(path: Path, head: bytes) -> Kind | None:
    """Kind of a text; None of what is none."""
    if head.startswith(LFS):
        return Kind("lfs", "a git-lfs pointer instead of the file (git lfs pull fetches it)")
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < HEAD else "ignore").strip()
    except UnicodeDecodeError:
        return None
    if re.match(r"<(!doctype html|html|head|body)\b", text, re.IGNORECASE):
        return Kind("html", "a web page (HTML) instead of the file: it may ask for a login")
    if text.startswith("<?xml"):
        return Kind("xml", "an XML document, such as a server's error message")
    if text.startswith(("{", "[")) and (found := _json(path)):
        return found
    if not text.isprintable() and not all(c.isprintable() or c.isspace() for c in text):
        return None
    return Kind("text", f"damaged or a text: it begins with {text[:40]!r}")


def _json(path: Path) -> Kind | None:
    if path.stat().st_size > LARGEST_TEXT:
        return None
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError:
        return None
    weights = content.get("weight_map") if isinstance(content, dict) else None
    if isinstance(weights, dict):
        files = sorted({str(name) for name in weights.values()})
        return Kind("index", f"an index of tensors in {len(files)} other file(s){_listed(files)}")
    return Kind("json", "a JSON document")


def _listed(names: list[str]) -> str:
    """` of a, b, c, …`: the first names that an archive holds."""
    more = ", …" if len(names) > 3 else ""
    return f" of {', '.join(names[:3])}{more}" if names else ""
