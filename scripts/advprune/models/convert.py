"""Checkpoints of other programs: their tensors as a plain net of ours, or one line why not.

Only tensors are read. A file that needs code of its own to be unpickled is refused.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.models.checkpoint import load_checkpoint
from advprune.models.registry import NetSpec, build

State = dict[str, Tensor]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # keys that training scripts use
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")  # of DataParallel, compile, and containers
NORMALIZE = "normalize."


def convert(path: Path, spec: NetSpec, rename: Mapping[str, str | None] | None = None) -> nn.Module:
    """Return the net of `spec` with the weights of a file; every tensor must fit, none be left.

    Known wrappers and prefixes are taken off, then `rename` is applied: regular expressions to be
    replaced in the names, or tensors to be left out where the replacement is None. The deviation
    and mean are those of `spec`; a file that brings its own must agree with them.
    """
    net = build(spec)
    own = {name: t for name, t in net.state_dict().items() if name.startswith(NORMALIZE)}
    state = _renamed(_without_prefix(_unwrapped(_read(path), path)), rename or {})
    state = own | _masked(state)
    for name, tensor in own.items():
        if state[name].shape != tensor.shape or not torch.allclose(state[name], tensor, atol=1e-6):
            raise UserError(f"{path}: its {name} is not the mean and std of the configuration")
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: {reason[:300]}{'…' if len(reason) > 300 else ''}") from None
    return net.eval()


def _read(path: Path) -> Any:
    """Content of a file: a safetensors file, one of our own checkpoints, or one of torch.save."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                if "advprune" not in (file.metadata() or {}):
                    return {name: file.get_tensor(name) for name in sorted(file.keys())}
            return load_checkpoint(path).net.state_dict()
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: damaged, or it holds more than tensors; save the net's state_dict()"
        ) from None
    except Exception as error:  # on damaged files torch's reader fails in every way there is
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged or no checkpoint ({reason[:200]})") from None


def _unwrapped(content: Any, path: Path) -> State:
    """Find the state dict in what a training script saved around it."""
    while isinstance(content, Mapping):
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return {str(key): value for key, value in content.items()}
        content = next((content[key] for key in WRAPPERS if key in content), None)
    raise UserError(f"{path}: holds no state_dict (looked under {', '.join(WRAPPERS)})")


def _without_prefix(state: State) -> State:
    """Take off prefixes that all names have, however many."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({n.removeprefix(prefix): t for n, t in state.items()})
    return state


def _renamed(state: State, rename: Mapping[str, str | None]) -> State:
    for pattern, replacement in rename.items():
        if replacement is None:
            state = {name: t for name, t in state.items() if not re.search(pattern, name)}
        else:
            state = {re.sub(pattern, replacement, name): t for name, t in state.items()}
    return state


def _masked(state: State) -> State:
    """Multiply weights by their masks where torch.nn.utils.prune has left the two apart."""
    masked = {n.removesuffix("_orig") for n in state if n.endswith("_orig")}
    masked = {name for name in masked if f"{name}_mask" in state}
    plain = {n: t for n, t in state.items() if n.removesuffix("_orig") not in masked}
    plain = {n: t for n, t in plain.items() if n.removesuffix("_mask") not in masked}
    return plain | {name: state[f"{name}_orig"] * state[f"{name}_mask"] for name in masked}
