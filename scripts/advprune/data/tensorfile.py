"""One safetensors file with a JSON header and a digest: the format of datasets and checkpoints."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from advprune.base.errors import UserError
from advprune.base.files import atomic

# A single metadata entry: safetensors does not promise an order among several, and the bytes of
# a file must depend on its content alone.
_KEY = "advprune"


def save_tensors(
    path: Path, kind: str, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write the tensors (from any device) and a JSON-able header; equal content, equal bytes."""
    plain = {
        # cloned: tensors that share memory, as one mask for two layers does, would be refused
        name: tensors[name].detach().cpu().clone(memory_format=torch.contiguous_format)
        for name in sorted(tensors)
    }
    meta = {"kind": kind, "header": dict(header), "digest": _digest(plain, header)}
    with atomic(path) as temporary:
        try:
            save_file(plain, temporary, metadata={_KEY: json.dumps(meta, sort_keys=True)})
        except SafetensorError as error:  # a full disk, for one
            raise UserError(f"{path}: cannot be written ({error})") from None


def load_tensors(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read (tensors on the CPU, header).

    A file that is missing, damaged (down to one changed byte) or of another kind is a
    `UserError` naming it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged or not a safetensors file ({reason})") from None
    if meta.get("kind") != kind:
        raise UserError(f"{path}: not a file of kind '{kind}' (found '{meta.get('kind')}')")
    if meta.get("digest") != _digest(tensors, meta.get("header", {})):
        raise UserError(f"{path}: damaged (its content does not match its digest)")
    return tensors, meta["header"]


def _digest(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> str:
    """SHA-256 over the header and each tensor's name, type, shape and bytes, in order of names."""
    total = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
