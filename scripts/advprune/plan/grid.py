"""The grid of a run: which models it has. Pure Python without torch."""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from advprune.base.errors import UserError
from advprune.base.structures import STRUCTURED
from advprune.plan.checks import sparsity_text
from advprune.plan.methods import Methods
from advprune.plan.paths import target_name
from advprune.plan.variants import Entry, asked


@dataclass(frozen=True)
class Model:
    """One row of the leaderboard. `sparsity` is the text of the config ('0.9').

    `dataset`, `arch` and `method` are names of the config, which may be those of variants.
    """

    dataset: str
    arch: str
    method: str
    structure: str
    sparsity: str
    seed: int

    @property
    def target(self) -> str:
        """Folder name of structure and sparsity."""
        return target_name(self.structure, self.sparsity)

    @property
    def wildcards(self) -> dict[str, Any]:
        """Values for the patterns of `paths.Layout`."""
        return asdict(self) | {"target": self.target}


class Grid:
    """The models of a run, and how to find one."""

    def __init__(self, models: list[Model], preset: str) -> None:
        self.models, self.preset = models, preset
        self._by_place = {(m.dataset, m.arch, m.method, m.target, m.seed): m for m in models}
        self._all = set(models)

    def find(self, dataset: str, arch: str, method: str, target: str, seed: int) -> Model:
        """The model with a target's folder name and a seed; a UserError if the grid has none."""
        try:
            return self._by_place[dataset, arch, method, target, seed]
        except KeyError:
            name = f"{dataset} {arch} {method} {target} seed {seed}"
            raise UserError(f"{name} is not in the grid of preset {self.preset}") from None

    def dense(self, model: Model) -> Model | None:
        """The dense net of a model's dataset, net and seed; None where the grid has none."""
        dense = replace(model, method="dense", structure="none", sparsity="0")
        return dense if dense in self._all else None

    def of(self, dataset: str, arch: str) -> list[Model]:
        """All models of a dataset and a net."""
        return [m for m in self.models if (m.dataset, m.arch) == (dataset, arch)]


def expand(config: Mapping[str, Any], methods: Methods) -> list[Model]:
    """Models that the blocks of the grid ask for, each once, in their order."""
    models: dict[Model, None] = {}
    for i, block in enumerate(config["grid"]):
        for entry in block["methods"]:
            for target, dataset, arch, seed in itertools.product(
                _targets(entry, block, methods, f"config: grid.{i}"),
                *(block["datasets"], block["archs"], config["seeds"]),
            ):
                models[Model(dataset, arch, *target, seed)] = None
    return list(models)


def _targets(
    entry: Entry, block: Mapping[str, Any], methods: Methods, where: str
) -> list[tuple[str, str, str]]:
    """(method, structure, sparsity) triples that one entry of a grid block asks for."""
    name, structures = asked(entry)
    has = methods.structures(name)
    for structure in structures or has:
        if structure not in has:
            raise UserError(f"{where}: '{name}' has no {structure} (has: {', '.join(has)})")
    targets = [(name, s, p) for s in structures or has for p in _sparsities(block, s)]
    if not targets:
        raise UserError(f"{where}: no sparsities for '{name}' ({', '.join(structures or has)})")
    return targets


def _sparsities(block: Mapping[str, Any], structure: str) -> list[str]:
    if structure == "none":
        return ["0"]
    kind = "structured" if structure in STRUCTURED else "unstructured"
    return [sparsity_text(value, kind) for value in block.get(kind, [])]
