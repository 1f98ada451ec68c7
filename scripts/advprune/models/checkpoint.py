"""Checkpoints: a plain net with its masks in one safetensors file, and its provenance card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.base.files import write_json
from advprune.base.provenance import sha256
from advprune.data.tensorfile import load_tensors, save_tensors
from advprune.models.registry import NetSpec, build

_KIND = "checkpoint-1"


@dataclass(frozen=True)
class Loaded:
    """A net in eval mode with its description and its masks (by parameter; empty if dense).

    `last` has the tensors of the last epoch where the net is that of another and its training is
    over with the search for the masks; None elsewhere.
    """

    net: nn.Module
    spec: NetSpec
    masks: dict[str, torch.Tensor]
    last: dict[str, torch.Tensor] | None = None


def save_checkpoint(
    path: Path,
    net: nn.Module,
    spec: NetSpec,
    masks: Mapping[str, torch.Tensor] | None = None,
    card: Mapping[str, Any] | None = None,
    last: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write the net's tensors to `path`, then the card beside it as `<stem>.json`, each atomically.

    The net must be the plain architecture of `spec` (parametrizations removed), and so must the
    tensors of its `last` epoch, if they are given; a mask is bool and has the name and shape of its
    parameter. Anything else is a `ValueError`. Non-finite
    weights are saved as they are: see `is_finite`. The card gets the net's description and the
    file's SHA-256 added.
    """
    path, state, masks, last = Path(path), net.state_dict(), masks or {}, last or {}
    plain = build(spec).state_dict()
    problem = _mismatch(state, plain) or (_mismatch(last, plain) if last else "")
    problem = problem or _bad_mask(masks, state)
    if problem:
        raise ValueError(f"cannot save {path.name}: {problem}")
    tensors = {f"net/{name}": tensor for name, tensor in state.items()}
    tensors |= {f"mask/{name}": mask for name, mask in masks.items()}
    tensors |= {f"last/{name}": tensor for name, tensor in last.items()}
    save_tensors(path, _KIND, tensors, {"net": spec.to_dict()})
    added = {"net": spec.to_dict(), "sha256": sha256(path)}
    write_json(path.with_suffix(".json"), dict(card or {}) | added)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Loaded:
    """Read a checkpoint onto a device.

    A file that is missing, damaged, of another format, or whose tensors are not exactly those of
    its architecture is a `UserError` naming it.
    """
    tensors, header = load_tensors(path, _KIND)
    spec = NetSpec.from_dict(header["net"])
    net = build(spec)
    parts: dict[str, dict[str, torch.Tensor]] = {"net": {}, "mask": {}, "last": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = tensor
    unknown = ", ".join(sorted(set(parts) - {"net", "mask", "last"}))
    problem = f"unexpected {unknown}" if unknown else _mismatch(parts["net"], net.state_dict())
    problem = problem or (_mismatch(parts["last"], net.state_dict()) if parts["last"] else "")
    problem = problem or _bad_mask(parts["mask"], parts["net"])
    if problem:
        raise UserError(f"{path}: {problem}")
    net.load_state_dict(parts["net"])
    masks = {name: mask.to(device) for name, mask in parts["mask"].items()}
    last = {name: tensor.to(device) for name, tensor in parts["last"].items()}
    return Loaded(net.to(device).eval(), spec, masks, last or None)


def is_finite(net: nn.Module) -> bool:
    """Say whether every parameter and buffer is a finite number, as a collapsed net's are not."""
    return all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values())


def _mismatch(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> str:
    """Describe the first difference in names, shapes or types; empty if there is none."""
    differences = {
        "missing": expected.keys() - found.keys(),
        "unexpected": found.keys() - expected.keys(),
    }
    for word, names in differences.items():
        if names:
            return f"{word} {len(names)} tensor(s) of the net, first {min(names)}"
    for name, tensor in sorted(expected.items()):
        have, want = ((t.dtype, tuple(t.shape)) for t in (found[name], tensor))
        if have != want:
            return f"{name} is {have[0]} {have[1]}, not {want[0]} {want[1]}"
    return ""


def _bad_mask(masks: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    """Describe the first mask that does not belong to the net; empty if all do."""
    for name, mask in sorted(masks.items()):
        if name not in state:
            return f"mask {name} belongs to no parameter"
        if mask.dtype != torch.bool or mask.shape != state[name].shape:
            found, wanted = tuple(mask.shape), tuple(state[name].shape)
            return f"mask {name} is {mask.dtype} {found}, not torch.bool {wanted}"
    return ""
