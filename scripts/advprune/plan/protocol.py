"""The protocol: which models a run trains, and exactly what each job is asked to do.

Every job gets one specification, a plain dict that holds all it depends on besides its input files
and its code. The workflow passes it as a parameter, so that a change of any value re-runs exactly
the jobs whose specification changed. Pure Python without torch.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from typing import Any

from advprune.base.errors import UserError
from advprune.data.specs import spec_of
from advprune.plan import external
from advprune.plan.checks import check_config, check_override, sparsity_text
from advprune.plan.config import check, load_method, split_size
from advprune.plan.paths import target_name

# families of common corruptions: noise is one job, blur another
CORRUPTIONS = ("noise", "blur", "weather", "digital")
STRUCTURED = ("filters", "channels", "kernels")
# images of the sample on which the indicators of attack failure are counted, steps of their attacks
DOUBTS = {"images": 100, "steps": 100}
SEARCHES = ("autoattack", "hofmn")  # what a lower precision may be used for
# phase in which the masked net is trained, by the stage at which a method prunes
FINAL_PHASE = {"baseline": "finetune", "after": "finetune", "before": "train", "during": None}


@dataclass(frozen=True)
class Model:
    """One row of the leaderboard. `sparsity` is the text of the config ('0.9')."""

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
        return {
            "dataset": self.dataset,
            "arch": self.arch,
            "method": self.method,
            "target": self.target,
            "seed": self.seed,
        }


class Protocol:
    """A validated configuration with the methods it uses."""

    def __init__(self, config: dict[str, Any]) -> None:
        check_config(config)
        self.config = config
        self.methods: dict[str, dict[str, Any]] = {}
        self.external = external.entries(config)
        self.models = self._grid() + self._brought()
        if not self.models:
            raise UserError("config: neither grid nor external names a model")
        self._by_target = {(m.dataset, m.arch, m.method, m.target): m for m in self.models}

    def _method(self, key: str) -> dict[str, Any]:
        if key not in self.methods:
            method = load_method(key)
            override = self.config["overrides"].get(key, {})
            for kind, word in (("params", "parameter"), ("recipes", "phase")):
                unknown = set(override.get(kind, {})) - set(method[kind])
                if unknown:
                    raise UserError(f"config: overrides.{key}: no {word} {', '.join(unknown)}")
            check_override(
                method["params"], override.get("params", {}), f"config: overrides.{key}.params"
            )
            method["params"] = method["params"] | override.get("params", {})
            method["recipes"] = {
                phase: self._recipe(phase, recipe) | override.get("recipes", {}).get(phase, {})
                for phase, recipe in method["recipes"].items()
            }
            # what the run's budget and overrides have put in must be a recipe too
            check(method, "method", f"config: budget or overrides for {key}")
            self.methods[key] = method
        return self.methods[key]

    def _recipe(self, phase: str, published: dict[str, Any]) -> dict[str, Any]:
        """The run's budget for a phase laid over the published recipe."""
        budget = self.config["budget"]
        return published if budget == "published" else published | budget.get(phase, {})

    def _grid(self) -> list[Model]:
        models = {}
        for i, block in enumerate(self.config["grid"]):
            for entry in block["methods"]:
                targets = self._targets(entry, block, f"config: grid.{i}")
                for target, dataset, arch, seed in itertools.product(
                    targets, block["datasets"], block["archs"], self.config["seeds"]
                ):
                    models[Model(dataset, arch, *target, seed)] = None
        return list(models)

    def _brought(self) -> list[Model]:
        """Rows of the nets that were trained elsewhere."""
        return [
            Model(
                *(entry["dataset"], entry["arch"], method, entry["structure"]),
                sparsity_text(entry["sparsity"], f"config: {method}"),
                entry["seed"],
            )
            for method, entry in self.external.items()
        ]

    def external_spec(self, method: str) -> dict[str, Any]:
        """Specification of the conversion of a net that was trained elsewhere."""
        return external.job_spec(self.external[method], self.config)

    def _targets(
        self, entry: str | dict[str, list[str]], block: dict[str, Any], where: str
    ) -> list[tuple[str, str, str]]:
        """(method, structure, sparsity) triples that one entry of a grid block asks for."""
        key, structures = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
        has = self._method(key)["structures"]
        for structure in structures or has:
            if structure not in has:
                raise UserError(f"{where}: '{key}' has no {structure} (has: {', '.join(has)})")
        targets = [(key, s, p) for s in structures or has for p in self._sparsities(block, s)]
        if not targets:
            raise UserError(f"{where}: no sparsities for '{key}' ({', '.join(structures or has)})")
        return targets

    @staticmethod
    def _sparsities(block: dict[str, Any], structure: str) -> list[str]:
        if structure == "none":
            return ["0"]
        kind = "structured" if structure in STRUCTURED else "unstructured"
        return [sparsity_text(value, kind) for value in block.get(kind, [])]

    def find(self, dataset: str, arch: str, method: str, target: str) -> Model:
        """The model (with any seed) of a target folder name; a UserError if the grid has none."""
        try:
            return self._by_target[(dataset, arch, method, target)]
        except KeyError:
            name = f"{dataset} {arch} {method} {target}"
            raise UserError(
                f"{name} is not in the grid of preset {self.config['preset']}"
            ) from None

    def dense(self, model: Model) -> Model | None:
        """The dense net of a model's dataset, net and seed; None where the grid has none."""
        found = self._by_target.get((model.dataset, model.arch, "dense", target_name("none", "0")))
        return found and replace(found, seed=model.seed)

    def identity(self, model: Model, seed: int) -> dict[str, Any]:
        """What the leaderboard says a row is."""
        entry = self.external.get(model.method)
        extra = {"name": entry["name"], "stage": "external"} if entry else {}
        return extra | {
            "method": model.method,
            "dataset": model.dataset,
            "arch": model.arch,
            "structure": model.structure,
            "sparsity": float(model.sparsity),
            "seed": seed,
        }

    @property
    def full_size(self) -> bool:
        """Whether some net has the width of the papers."""
        return any(entry["width"] >= 64 for entry in self.config["archs"].values())

    def threat(self, dataset: str) -> dict[str, Any]:
        """Threat of the inner attacks: texts of radius and step, number of steps."""
        entry = self.config["datasets"][dataset]
        return {"eps": entry["eps"], **entry["training_attack"]}

    def data_spec(self, dataset: str, *splits: str) -> dict[str, Any]:
        """Specification of the job that prepares some splits of a dataset."""
        limits = self.config["datasets"][dataset].get("limits", {})
        return {"name": dataset, "limits": {k: n for k, n in limits.items() if k in splits}}

    def net_spec(self, dataset: str, arch: str) -> dict[str, Any]:
        """Description of a net for a dataset's images, whose moments are not known yet."""
        data = spec_of(dataset)
        channels, size, _ = data.shape
        net = {"arch": arch, "width": self.config["archs"][arch]["width"]}
        net |= {"classes": data.classes, "channels": channels, "size": size}
        return net | {"mean": [0.5] * channels, "std": [0.25] * channels}

    def pretrain_spec_of(self, dataset: str, arch: str, name: str) -> dict[str, Any]:
        """Specification of the pretraining with the folder name `name`."""
        for method in self.methods:
            if self.pretrain_name(dataset, arch, method) == name:
                return self.pretrain_spec(dataset, arch, method)
        raise UserError(f"no method of preset {self.config['preset']} pretrains as {name}")

    def pretrain_spec(self, dataset: str, arch: str, method: str) -> dict[str, Any]:
        """Specification of the pretraining that a method starts from, but for its seed."""
        entry = self._method(method)
        return {
            "arch": arch,
            "width": self.config["archs"][arch]["width"],
            "threat": self.threat(dataset),
            "objective": entry["objectives"]["pretrain"],
            "recipe": entry["recipes"]["pretrain"],
        }

    def pretrain_name(self, dataset: str, arch: str, method: str) -> str | None:
        """Folder name of the pretraining, shared by all methods that ask for the same one."""
        if "pretrain" not in self._method(method)["recipes"]:
            return None
        spec = self.pretrain_spec(dataset, arch, method)
        text = json.dumps([spec["objective"], spec["recipe"]], sort_keys=True)
        return f"{spec['objective']['name']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def has_teacher(self, method: str) -> bool:
        """Say whether pruning and finetuning also see the dense net that the method starts from."""
        return self._method(method).get("teacher", False)

    def prune_spec(self, model: Model, seed: int) -> dict[str, Any]:
        """Specification of a pruning job."""
        entry = self._method(model.method)
        final = FINAL_PHASE[entry["stage"]]
        phases = [p for p in entry["recipes"] if p not in ("pretrain", final)]
        return self._method_spec(model, seed, phases) | {"params": entry["params"]}

    def finetune_spec(self, model: Model, seed: int) -> dict[str, Any]:
        """Specification of a finetuning job; its `final` is None where there is nothing to do."""
        entry = self._method(model.method)
        final = FINAL_PHASE[entry["stage"]]
        final = final if final in entry["recipes"] else None
        spec = self._method_spec(model, seed, [final] if final else [])
        return spec | {"final": final, "params": entry["params"] if final else {}}

    def _method_spec(self, model: Model, seed: int, phases: list[str]) -> dict[str, Any]:
        entry = self._method(model.method)
        return {
            "arch": model.arch,
            "width": self.config["archs"][model.arch]["width"],
            "method": model.method,
            "teacher": self.has_teacher(model.method),
            "structure": model.structure,
            "sparsity": float(model.sparsity),
            "seed": seed,
            "threat": self.threat(model.dataset),
            "objectives": {p: entry["objectives"][p] for p in phases},
            "recipes": {p: entry["recipes"][p] for p in phases},
        }

    def attack_spec(self, dataset: str, attack: str) -> dict[str, Any]:
        """Specification of the attack jobs on a dataset: settings and radius."""
        settings = dict(self.config["evaluation"][attack])
        settings["eps"] = self.config["datasets"][dataset]["eps"]
        precision = self.config["evaluation"].get("search_precision", "fp32")
        if attack in SEARCHES and precision != "fp32":
            settings["precision"] = precision
        return settings

    def doubts_spec(self, dataset: str) -> dict[str, Any]:
        """Specification of the jobs that look for failed attacks, but for their seed.

        They attack again with the settings that the verdicts were made with.
        """
        autoattack, hofmn = (self.attack_spec(dataset, name) for name in ("autoattack", "hofmn"))
        kept = {key: autoattack[key] for key in ("eps", "batch")}
        version = autoattack.get("version", "standard")
        chosen = DOUBTS | self.config["evaluation"].get("doubts", {})
        return kept | chosen | {"version": version, "fmn_steps": hofmn["steps"]}

    def corruptions_spec(self, dataset: str) -> dict[str, Any]:
        """Specification of the jobs that corrupt images, and of those that show them to a net."""
        chosen = self.config["evaluation"]["corruptions"]["images"]
        return {"images": min(chosen, split_size(self.config, dataset, "test"))}

    def shards(self, dataset: str, attack: str) -> int:
        """Number of shards of the test images for an attack."""
        size = self.config["evaluation"][attack]["shard"]
        return -(-split_size(self.config, dataset, "test") // size)
