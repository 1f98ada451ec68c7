"""The protocol: which models a run trains, and exactly what each job is asked to do.

Every job gets one specification (`plan.specs`) that holds all it depends on besides its input
files and its code. The workflow passes it as a parameter, so that a change of any value re-runs
exactly the jobs whose specification changed. Pure Python without torch.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

from advprune.base.errors import UserError
from advprune.base.record import to_dict
from advprune.data.specs import spec_of
from advprune.models.foreign import layouts
from advprune.models.sizes import Layer, layers
from advprune.plan import external, extra, released, specs, variants
from advprune.plan.config import fraction, read_yaml
from advprune.plan.feasible import rates
from advprune.plan.grid import Grid, Model, expand
from advprune.plan.methods import MethodPlan, Methods, method_file


class Protocol:
    """The jobs of a checked configuration (`config.load_config`)."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self._methods = Methods(config)
        self.methods = self._methods.variants
        self.external = external.entries(config)
        trained = expand(config, self._methods)
        self.released = released.rows(config)
        self._lock = released.lock(config) if self.released else {}
        self.models = trained + external.models(self.external) + list(self.released)
        if not self.models:
            raise UserError("config: neither grid nor external nor released names a model")
        self.grid = Grid(self.models, config["preset"])
        self._pretrainings: dict[tuple[str, str, str], str | None] = {}
        for model in trained:  # whatever is wrong with a plan is said before any job
            self.plan(model)
        self._check_rates(trained)

    @property
    def full_size(self) -> bool:
        """Whether some net has the width of the papers."""
        return any(entry["width"] >= 64 for entry in self.config["archs"].values())

    def plan(self, model: Model) -> MethodPlan:
        """What a model's method does on its dataset and net."""
        return self._plan(model.dataset, model.arch, model.method)

    @property
    def elsewhere(self) -> list[str]:
        """What stands for a method in the rows of nets that were trained elsewhere."""
        return list(dict.fromkeys([*self.external, *(model.method for model in self.released)]))

    def source(self, model: Model) -> str:
        """File of a net that was trained elsewhere."""
        if item := self.released.get(model):
            return item.path
        return str(self.external[model.method]["path"])

    def epochs(self, model: Model) -> int | None:
        """Epochs that a model may train in all its phases; None of one from elsewhere."""
        if model.method not in self.methods:
            return None
        return sum(recipe.epochs for recipe in self.plan(model).recipes.values())

    def dataset(self, name: str) -> str:
        """Dataset behind a name of the configuration: another one only of a variant."""
        return variants.base(self.config, "dataset", name)

    def arch(self, name: str) -> str:
        """Net behind a name of the configuration: another one only of a variant."""
        return variants.base(self.config, "arch", name)

    def data_source(self, dataset: str) -> str:
        """Name of the dataset in whose folder the images are."""
        return variants.data_source(self.config, dataset)

    def data(self, dataset: str, part: str) -> specs.DataSpec:
        """A part of a dataset ("train" with "val", or "test") and the limits of its splits."""
        limits = variants.limits(self.config, dataset)
        own = {split: n for split, n in limits.items() if (split == "test") == (part == "test")}
        return specs.DataSpec(self.dataset(dataset), part, own)

    def net(self, dataset: str, arch: str) -> specs.CheckNetSpec:
        """A net for a dataset's images."""
        return specs.CheckNetSpec(**self._net(arch) | self._images(dataset))

    def layers(self, dataset: str, arch: str) -> list[Layer] | None:
        """Layers of the net for a dataset's images; None if they are not known unbuilt."""
        images = self._images(dataset)
        return layers(classes=images["classes"], channels=images["channels"], **self._net(arch))

    def pretrain(self, dataset: str, arch: str, method: str, seed: int) -> specs.PretrainSpec:
        """The pretraining that a method starts from."""
        plan = self._plan(dataset, arch, method)
        return specs.PretrainSpec(
            seed=seed,
            threat=self._threat(dataset),
            objective=plan.objectives["pretrain"],
            recipe=plan.recipes["pretrain"],
            extra=extra.ratio(self.config, dataset),
            precision=self.config.get("training_precision", "fp32"),
            **self._net(arch),
        )

    def pretrain_name(self, dataset: str, arch: str, method: str) -> str | None:
        """Folder name of the pretraining, shared by all methods that ask for the same one."""
        place = (dataset, arch, method)
        if place not in self._pretrainings:
            self._pretrainings[place] = self._pretrain_name(*place)
        return self._pretrainings[place]

    def pretrain_of(self, dataset: str, arch: str, name: str, seed: int) -> specs.PretrainSpec:
        """The pretraining with the folder name `name`."""
        for method in self.methods:
            if self.pretrain_name(dataset, arch, method) == name:
                return self.pretrain(dataset, arch, method, seed)
        raise UserError(f"no method of preset {self.config['preset']} pretrains as {name}")

    def prune(self, model: Model) -> specs.PruneSpec:
        """A method's search for masks."""
        plan = self.plan(model)
        return specs.PruneSpec(**self._method(model, plan.search), params=plan.params)

    def finetune(self, model: Model) -> specs.FinetuneSpec:
        """The training of what is left; `final` is None where there is nothing to do."""
        plan = self.plan(model)
        fields = self._method(model, [plan.final] if plan.final else [])
        params = plan.params if plan.final else {}
        return specs.FinetuneSpec(**fields, params=params, final=plan.final)

    def fetch(self, key: str) -> specs.FetchSpec:
        """How a released file is had, and what must be in it."""
        model, item = next((m, item) for m, item in self.released.items() if item.key == key)
        return specs.FetchSpec(
            key=key,
            file_id=item.file_id,
            file_name=item.file_name,
            url=self.config["released"].get("url", released.URL),
            method=item.method,
            net=self.net(model.dataset, model.arch),
            sparsity=float(item.sparsity),
            sha256=self._lock.get(key, ""),
        )

    def convert(self, model: Model) -> specs.ExternalSpec:
        """The conversion of a net that was trained elsewhere."""
        if item := self.released.get(model):
            return self._convert_released(model, item)
        entry = self.external[model.method]
        net = self._net(entry["arch"]) | self._images(entry["dataset"])
        asked = external.asked(entry)
        known: dict[str, Any] = {
            key: tuple(map(float, entry.get(key, ()))) for key in ("mean", "std")
        }
        if asked.scores == "apply" or not asked.by_hand:
            known["sparsity"] = float(entry["sparsity"])
        known["layouts"] = "" if asked.by_hand else layouts.digest()
        return specs.ExternalSpec(**net, **known, **vars(asked))

    def _convert_released(self, model: Model, item: released.Released) -> specs.ExternalSpec:
        """The layout of the file says how: moments and arithmetic are its method's."""
        net = self._net(model.arch) | self._images(model.dataset)
        sparsity = float(item.sparsity)
        digest = layouts.digest()
        return specs.ExternalSpec(
            **net, mean=(), std=(), sparsity=sparsity, layout=item.method, layouts=digest
        )

    def row(self, model: Model) -> specs.Row:
        """What the leaderboard says of a model."""
        place = (model.method, model.dataset, model.arch, model.structure)
        found = specs.Row(*place, float(model.sparsity), model.seed)
        if item := self.released.get(model):
            name = f"{read_yaml(method_file(item.method))['name']} (released)"
            found = replace(found, released_of=item.method, published=item.published)
            return replace(found, name=name, stage="external")
        if entry := self.external.get(model.method):
            return replace(found, name=entry["name"], stage="external")
        found = replace(found, objective=self.plan(model).objective)
        variant = self.methods[model.method]
        if variant.name == variant.key:
            return found
        return replace(found, name=variant.title, variant_of=variant.key)

    def classes(self, dataset: str) -> int:
        """Number of classes of a dataset."""
        return spec_of(self.dataset(dataset)).classes

    def _check_rates(self, trained: list[Model]) -> None:
        """Refuse sparsities that a net is too small for."""
        for place in dict.fromkeys((m.dataset, m.arch) for m in trained):
            asked = [m for m in trained if (m.dataset, m.arch) == place]
            keys = [(self.methods[m.method].key, m.structure, m.sparsity) for m in asked]
            rates.check("/".join(place), self.layers(*place), dict.fromkeys(keys))

    def _plan(self, dataset: str, arch: str, method: str) -> MethodPlan:
        return self._methods.plan(method, self.dataset(dataset), self.arch(arch))

    def _pretrain_name(self, dataset: str, arch: str, method: str) -> str | None:
        if "pretrain" not in self._plan(dataset, arch, method).recipes:
            return None
        content = to_dict(self.pretrain(dataset, arch, method, 0))
        text = json.dumps([content["objective"], content["recipe"]], sort_keys=True)
        return f"{content['objective']['name']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def _net(self, arch: str) -> dict[str, Any]:
        entry = self.config["archs"][arch]
        return {
            "arch": self.arch(arch),
            "width": entry["width"],
            "final_pool": entry.get("final_pool"),
            "hidden": tuple(entry["hidden"]) if "hidden" in entry else None,
        }

    def _images(self, dataset: str) -> dict[str, int]:
        data = spec_of(self.dataset(dataset))
        channels, size, _ = data.shape
        return {"classes": data.classes, "channels": channels, "size": size}

    def _threat(self, dataset: str) -> specs.Threat:
        entry = self.config["datasets"][dataset]
        attack = entry["training_attack"]
        return specs.Threat(fraction(entry["eps"]), fraction(attack["step"]), attack["steps"])

    def _method(self, model: Model, phases: list[str]) -> dict[str, Any]:
        plan = self.plan(model)
        return self._net(model.arch) | {
            "method": plan.key,
            "teacher": plan.teacher,
            "structure": model.structure,
            "sparsity": float(model.sparsity),
            "seed": model.seed,
            "threat": self._threat(model.dataset),
            "extra": extra.ratio(self.config, model.dataset),
            "precision": self.config.get("training_precision", "fp32"),
            "objectives": {p: plan.objectives[p] for p in phases if p in plan.objectives},
            "recipes": {p: plan.recipes[p] for p in phases},
        }
