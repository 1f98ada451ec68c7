"""The methods of a run: their YAMLs with the run's budget and overrides laid over them.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advprune.base import imports
from advprune.base.errors import UserError
from advprune.base.record import from_dict
from advprune.plan.checks import check_override
from advprune.plan.config import ROOT, check, read_yaml
from advprune.plan.specs import Recipe

# phase in which the masked net is trained, by the stage at which a method prunes
FINAL_PHASE = {"baseline": "finetune", "after": "finetune", "before": "train", "during": None}


@dataclass(frozen=True)
class MethodPlan:
    """What a run asks of a method; objectives and recipes by phase."""

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
    check(content, "method", f"config/methods/{key}.yaml")
    if content["key"] != key:
        raise UserError(f"config/methods/{key}.yaml: its key is '{content['key']}'")
    return content


def load_methods(keys: Iterable[str], config: Mapping[str, Any]) -> dict[str, MethodPlan]:
    """Plans of the methods of a run by key, in the order given; overrides of others are checked."""
    for name in config["overrides"]:
        load_method(name)
    return {key: _plan(load_method(key), config) for key in dict.fromkeys(keys)}


def _plan(method: dict[str, Any], config: Mapping[str, Any]) -> MethodPlan:
    key = method["key"]
    override = config["overrides"].get(key, {})
    for kind, word in (("params", "parameter"), ("recipes", "phase")):
        unknown = set(override.get(kind, {})) - set(method[kind])
        if unknown:
            raise UserError(f"config: overrides.{key}: no {word} {', '.join(unknown)}")
    params = override.get("params", {})
    check_override(method["params"], params, f"config: overrides.{key}.params")
    budget = {} if config["budget"] == "published" else config["budget"]
    recipes = {
        phase: published | budget.get(phase, {}) | override.get("recipes", {}).get(phase, {})
        for phase, published in method["recipes"].items()
    }
    method = method | {"params": method["params"] | params, "recipes": recipes}
    where = f"config: budget or overrides for {key}"
    check(method, "method", where)  # what the run has put in must be a recipe too
    known = imports.modules_in("training.objectives")
    for objective in method["objectives"].values():
        if objective["name"] not in known:
            raise UserError(
                f"config/methods/{key}.yaml: unknown objective '{objective['name']}'"
                f" (known: {', '.join(known)})"
            )
    return MethodPlan(
        key=key,
        stage=method["stage"],
        structures=tuple(method["structures"]),
        objectives=method["objectives"],
        recipes={phase: from_dict(Recipe, recipe, where) for phase, recipe in recipes.items()},
        params=method["params"],
        teacher=method.get("teacher", False),
    )
