"""The methods of a run: their YAMLs, and what the run makes of them.

A plan of a method is laid in layers: what was published, the authors' settings for a dataset or a
net, the run's budget, its overrides, and last what a variant of the method changes. A pretraining
under a common budget is the run's, so that methods share it: the first two have no part in it.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.record import from_dict
from advprune.data.specs import known as known_datasets
from advprune.models.names import known_nets
from advprune.plan import budget, variants
from advprune.plan.checks import check_objective, check_override, check_recipe
from advprune.plan.config import ROOT, check, read_yaml
from advprune.plan.specs import Recipe
from advprune.plan.variants import Variant

# phase in which the masked net is trained, by the stage at which a method prunes
FINAL_PHASE = {"baseline": "finetune", "after": "finetune", "before": "train", "during": None}


@dataclass(frozen=True)
class MethodPlan:
    """What a run asks of a method; objectives and recipes by phase.

    `key` is the method's own, the name of its module. A phase whose loss is the method's own
    business has no objective.
    """

    key: str
    stage: str
    structures: tuple[str, ...]
    objectives: dict[str, dict[str, Any]]
    recipes: dict[str, Recipe]
    params: dict[str, Any]
    teacher: bool = False

    @property
    def final(self) -> str | None:
        """Phase in which the masked net is trained; None where there is none."""
        phase = FINAL_PHASE[self.stage]
        return phase if phase in self.recipes else None

    @property
    def search(self) -> list[str]:
        """Phases of the search for the masks."""
        return [p for p in self.recipes if p not in ("pretrain", FINAL_PHASE[self.stage])]

    @property
    def objective(self) -> str | None:
        """Name of the objective of the last training that has one."""
        names = [self.objectives[p]["name"] for p in self.recipes if p in self.objectives]
        return names[-1] if names else None

    @property
    def epochs(self) -> int:
        """Epochs of all phases together, the search's included."""
        return sum(recipe.epochs for recipe in self.recipes.values())


def known_methods() -> list[str]:
    """Keys of all methods that have a YAML."""
    return sorted(p.stem for p in (ROOT / "config" / "methods").glob("*.yaml"))


def method_file(key: str) -> Path:
    """YAML of a method."""
    return ROOT / "config" / "methods" / f"{key}.yaml"


def load_method(key: str) -> dict[str, Any]:
    """Validated YAML of a method; an unknown key is a UserError that lists the known ones."""
    if key not in known_methods():
        raise UserError(f"unknown method '{key}' (known: {', '.join(known_methods())})")
    content: dict[str, Any] = read_yaml(method_file(key))
    where = f"config/methods/{key}.yaml"
    check(content, "method", where)
    if content["key"] != key:
        raise UserError(f"{where}: its key is '{content['key']}'")
    for phase, objective in content["objectives"].items():
        if phase not in content["recipes"]:
            raise UserError(f"{where}: objectives: no recipe for {phase}")
        check_objective(objective, f"{where}: objectives.{phase}")
    budget.check_shares(content.get("shares", {}), list(content["recipes"]), where)
    for i, setting in enumerate(content.get("settings", [])):
        _check_layer(content, setting, f"{where}: settings.{i}")
        for kind, known in (("dataset", known_datasets()), ("arch", known_nets())):
            if setting.get(kind, known[0]) not in known:
                raise UserError(f"{where}: settings.{i}.{kind}: unknown '{setting[kind]}'")
    return content


class Methods:
    """The methods that a run's grid names, and the plan of each on a dataset and a net."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.common = config["budget"] != "published"
        self.variants = variants.read(config, known_methods())
        keys = {variant.key for variant in self.variants.values()} | set(config["overrides"])
        self._contents = {key: load_method(key) for key in sorted(keys)}
        self._plans: dict[tuple[str, tuple[int, ...]], MethodPlan] = {}
        if self.common:
            budget.check_sum(config["budget"]["shares"], "config: budget.shares")
            budget.check_layer(config["budget"], self.common, "config: budget")
        for key, override in config["overrides"].items():
            where = f"config: overrides.{key}"
            _check_layer(self._contents[key], override, where)
            budget.check_layer(override, self.common, where)

    def structures(self, name: str) -> list[str]:
        """Structures that a method of the grid can prune."""
        found: list[str] = self._contents[self.variants[name].key]["structures"]
        return found

    def plan(self, name: str, dataset: str, arch: str) -> MethodPlan:
        """Plan of a method of the grid; dataset and net by their own names, not by variants'."""
        variant = self.variants[name]
        content = self._contents[variant.key]
        here = {"dataset": dataset, "arch": arch}
        given = content.get("settings", [])
        fits = tuple(i for i, s in enumerate(given) if here.items() >= _place(s).items())
        if (name, fits) not in self._plans:
            settings = [given[i] for i in fits]
            self._plans[name, fits] = self._laid(content, settings, variant)
        return self._plans[name, fits]

    def _laid(
        self, content: Mapping[str, Any], settings: list[dict[str, Any]], variant: Variant
    ) -> MethodPlan:
        """Plan of a method with all that the run lays over it."""
        where = f"config: {variant.name}"
        changes = _spelled_out(content, variant.changes)
        _check_layer(content, changes, where)
        budget.check_layer(changes, self.common, where)
        shared = self.config["budget"] if self.common else {}
        own = self.config["overrides"].get(variant.key, {})
        layers = [content, *settings, shared, own, changes]
        of_phase = {phase: layers for phase in content["recipes"]}
        if self.common and "pretrain" in of_phase:  # all methods begin with the run's own
            of_phase["pretrain"] = [shared, own, changes]
        recipes = {
            phase: _merged(layer.get("recipes", {}).get(phase, {}) for layer in over)
            for phase, over in of_phase.items()
        }
        if self.common:
            shares = _merged(layer.get("shares", {}) for layer in (shared, content, own, changes))
            epochs = budget.divide(shared["epochs"], list(recipes), shares, where)
            recipes = {
                phase: recipe | {"epochs": epochs[phase]} for phase, recipe in recipes.items()
            }
        laid = dict(content) | {
            "objectives": content["objectives"] | changes.get("objectives", {}),
            "params": functools.reduce(_into, (layer.get("params", {}) for layer in layers)),
            "recipes": recipes,
        }
        where = f"config: budget or overrides for {variant.name}"
        check(laid, "method", where)  # what the run has put in must be a recipe too
        for phase, recipe in recipes.items():
            check_recipe(recipe, f"{where}: {phase}")
        return MethodPlan(
            key=content["key"],
            stage=content["stage"],
            structures=tuple(content["structures"]),
            objectives=laid["objectives"],
            recipes={phase: from_dict(Recipe, recipe, where) for phase, recipe in recipes.items()},
            params=laid["params"],
            teacher=content.get("teacher", False),
        )


def _place(setting: Mapping[str, Any]) -> dict[str, str]:
    """Dataset and net, or one of the two, to which a setting belongs."""
    return {kind: setting[kind] for kind in ("dataset", "arch") if kind in setting}


def _merged(layers: Iterator[Mapping[str, Any]]) -> dict[str, Any]:
    """One table of several, later entries in place of earlier ones."""
    return {key: value for layer in layers for key, value in layer.items()}


def _into(below: Any, above: Any) -> Any:
    """A value over another: of two tables, entry by entry, those within them too."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    same = below.keys() & above.keys()
    return {**below, **above, **{key: _into(below[key], above[key]) for key in same}}


def _spelled_out(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's changes with the phases that its `objective` stands for."""
    whole = changes.get("objective")
    objectives = dict.fromkeys(content["objectives"], whole) if whole else {}
    objectives |= changes.get("objectives", {})
    return {**changes, "objectives": objectives}


def _check_layer(content: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Refuse what a method has not, and values of another kind than the published ones."""
    words = {"params": "parameter", "recipes": "phase", "objectives": "objective of"}
    for kind, word in words.items():
        unknown = set(changes.get(kind, {})) - set(content[kind])
        if unknown:
            raise UserError(f"{where}: no {word} {', '.join(sorted(unknown))}")
    check_override(content["params"], changes.get("params", {}), f"{where}.params")
    budget.check_shares(changes.get("shares", {}), list(content["recipes"]), where)
    for phase, objective in changes.get("objectives", {}).items():
        check_objective(objective, f"{where}.objectives.{phase}")
