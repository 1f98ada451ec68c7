"""Checkpoints of other programs: their tensors as a plain net of ours, or one line why not.

Every tensor must fit by name and shape. What changes a weight on the way is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.base.text import few, line
from advprune.models.foreign.chosen import chosen, nearest
from advprune.models.foreign.made import Made, made
from advprune.models.foreign.match import Match, disagreement
from advprune.models.foreign.numbers import Numbers
from advprune.models.foreign.outline import outline
from advprune.models.foreign.reading import Asked, Reading
from advprune.models.graph import batchnorm_of
from advprune.models.registry import NetSpec, build

State = dict[str, Tensor]
NORMALIZE = "normalize."


@dataclass(frozen=True)
class Converted:
    """The net in eval mode, and for its card what was taken from the file and what was not.

    `notes` are what its layout says of it: see `marks`. `faults` are reasons to flag its row.
    """

    net: nn.Module
    about: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def marks(self) -> list[str]:
        """What a reader of the net's row must know: lines, for `marks` of its card."""
        return self.notes + [f"left out of its file: {text}" for text in self.about["left_out"]]


def convert(
    path: Path, spec: NetSpec, asked: Asked | None = None, sparsity: float = 0.0
) -> Converted:
    """Return the net of `spec` with the weights of a file; every tensor must fit, none be left.

    `asked` makes the choices that the file leaves open; `sparsity` in [0, 1) is the share that
    scores remove of each layer. Anything that does not fit is a `UserError` of one line.
    """
    asked = asked or Asked()
    found = outline(path)
    match, reading = chosen(found, asked)
    numbers = Numbers(found)
    try:
        if asked.moments is None:
            _check_moments(numbers, reading, spec)
        if match is None:
            made_of = _taken(numbers, reading, spec, sparsity)
        else:
            made_of = _by_layout(numbers, match, spec, asked, sparsity)
        net = _loaded(made_of.state, spec, lambda: "" if match else nearest(found, asked))
    except UserError as error:
        raise UserError(f"{path}: {line(str(error))}") from None
    about = {"kind": found.kind, "taken": reading.taken, "left_out": reading.left_out}
    about |= {"beside": reading.no_net, "changes": made_of.changes}
    about |= {"layout": " or ".join(match.layouts)} if match else {}
    return Converted(net, about, made_of.marks, made_of.faults)


def _by_layout(
    numbers: Numbers, match: Match, spec: NetSpec, asked: Asked, sparsity: float
) -> Made:
    """Make the tensors by the file's layout."""
    if wrong := disagreement(match, vars(spec)):
        raise UserError(wrong)
    found = made(numbers, match, sparsity)
    if asked.layout and match.mean and (match.mean, match.std) != (spec.mean, spec.std):
        found.marks.append(f"normalised otherwise than its layout ({match.images})")
    held = {name: numbers.tensor(way) for name, way in match.ways.items()}
    found.changes = _rounded(held) + found.changes
    return found


def _taken(numbers: Numbers, reading: Reading, spec: NetSpec, sparsity: float) -> Made:
    """Take them one by one."""
    state = {name: numbers.tensor(way) for name, way in reading.weights.items()}
    changes = _rounded(state)
    for name, way in reading.masks.items():
        state[name] = state[name] * _mask(numbers.tensor(way), name, state[name])
    changes += [f"masks multiplied in: {few(reading.masks)}"] * bool(reading.masks)
    for name, way in reading.scores.items():
        state[name] = state[name] * _best(numbers.tensor(way), name, state[name], sparsity)
    changes += [f"the best scores kept: {few(reading.scores)}"] * bool(reading.scores)
    return Made(state, changes + _folded(build(spec), state), _half(state))


def _half(tensors: Mapping[str, Tensor]) -> list[str]:
    """The mark of weights that are held in half precision, if any are."""
    low = {n: t.dtype for n, t in tensors.items() if t.dtype in (torch.float16, torch.bfloat16)}
    kinds = ", ".join(dict.fromkeys(str(dtype).removeprefix("torch.") for dtype in low.values()))
    return [f"held in half precision ({kinds}): {few(low)}"] * bool(low)


def _loaded(state: State, spec: NetSpec, more: Callable[[], str]) -> nn.Module:
    """The net with these tensors, and the normalisation of `spec`; `more` says why not."""
    net = build(spec)
    own = net.state_dict()
    state |= {name: tensor for name, tensor in own.items() if name.startswith(NORMALIZE)}
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = line(str(error))
        raise UserError(f"{reason[:300]}{'…' if len(reason) > 300 else ''}{more()}") from None
    return net.eval()


def _check_moments(numbers: Numbers, reading: Reading, spec: NetSpec) -> None:
    """Refuse moments of images other than the configuration's."""
    for way, kind in reading.moments.items():
        found = torch.as_tensor(numbers.value(way)).double().flatten()
        wanted = torch.tensor(getattr(spec, kind), dtype=torch.float64)
        if len(found) not in (1, len(wanted)) or not torch.allclose(found, wanted, atol=1e-6):
            values = ", ".join(f"{value:.4g}" for value in found.tolist())
            raise UserError(
                f"its {'.'.join(way)} is not the configuration's {kind} but {values}; "
                "moments: leave takes the configuration's all the same"
            )


def _rounded(state: State) -> list[str]:
    """What was rounded, because it is exact in double precision alone."""
    names = [
        name
        for name, tensor in state.items()
        if tensor.dtype == torch.float64 and not bool((tensor.float() == tensor).all())
    ]
    return [f"rounded from float64: {few(names)}"] * bool(names)


def _mask(mask: Tensor, name: str, weight: Tensor) -> Tensor:
    """A mask as a factor of its weight, which it may have an entry per filter or kernel of."""
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise UserError(f"the mask of {name} holds other numbers than 0 and 1")
    try:
        return mask.to(weight.dtype).expand_as(weight)
    except RuntimeError:
        shapes = f"{list(mask.shape)}, the weight {list(weight.shape)}"
        raise UserError(f"the mask of {name} is {shapes}") from None


def _best(scores: Tensor, name: str, weight: Tensor, sparsity: float) -> Tensor:
    """The mask that keeps a layer's largest scores, as HYDRA and edge-popup choose it."""
    if scores.shape != weight.shape:
        shapes = f"{list(scores.shape)}, the weight {list(weight.shape)}"
        raise UserError(f"the scores of {name} are {shapes}")
    removed = int(round(sparsity * scores.numel(), 6))
    order = scores.abs().flatten().argsort(stable=True)
    mask = torch.ones_like(weight).flatten()
    mask[order[:removed]] = 0
    return mask.view_as(weight)


def _folded(net: nn.Module, state: State) -> list[str]:
    """Take biases of convolutions that are ours without into the means of their BatchNorm.

    BatchNorm subtracts its mean from what the convolution makes: a bias b more there, and a mean
    b lower here, are the same number.
    """
    norms, folded = batchnorm_of(net), []
    for conv, layer in net.named_modules():
        bias, mean = state.get(f"{conv}.bias"), f"{norms.get(conv)}.running_mean"
        if bias is None or not isinstance(layer, nn.Conv2d) or layer.bias is not None:
            continue
        if bool((bias == 0).all()):
            del state[f"{conv}.bias"]
        elif mean in state and state[mean].shape == bias.shape:
            state[mean] = state[mean].double() - bias.double()
            del state[f"{conv}.bias"]
            folded.append(conv)
    return [f"biases folded into BatchNorm: {few(folded)}"] * bool(folded)
