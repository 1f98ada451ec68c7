"""The results of a run that have a card: their files, what is asked of them, what they are made of.

The rules say the same to Snakemake; `tests/workflow/test_identity.py` and `test_rows.py` hold one
against the other. What is only gathered or drawn of all models is left out: it takes seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from advprune.plan import extra
from advprune.plan.grid import Model
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import CORRUPTIONS, Verdicts


@dataclass(frozen=True)
class Result:
    """What one job makes.

    `files` are its outputs, the first one hashed in the `card`; `asked` makes the specification
    that the configuration gives it; `inputs` are the files that it is made from, by their names in
    the card's `parents`, which are those of the script's arguments. The check of a net, "net", is
    in no card: it comes before a training, and nothing is taken from it. `model` is None where
    several models share the job.
    """

    script: str
    files: tuple[str, ...]
    card: str
    asked: Callable[[], Any] = field(compare=False)
    inputs: Mapping[str, str] = field(default_factory=dict, compare=False)
    model: Model | None = None

    @property
    def benchmark(self) -> str:
        """File of what the job used."""
        return f"{self.log.removesuffix('.log')}.tsv"

    @property
    def log(self) -> str:
        """Its log."""
        _, preset, *folders, name = Path(self.files[0]).parts
        stem, place = name.split(".")[0], "/".join(f for f in folders if f != "pretrained")
        own = {
            "pretrain": f"/{stem}",
            "fetch": f"/{stem}",
            "dataset": f"-{stem}",
            "corrupt": f"-{stem.removeprefix('corrupted-')}",
            "autoattack": stem.removeprefix("autoattack"),  # its shard
            "hofmn": stem.removeprefix("hofmn"),
        }
        return Layout(preset).log(f"{self.script}/{place}{own.get(self.script, '')}")


class Results:
    """All of them, in an order in which none is made from a later one."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol, self._verdicts = protocol, Verdicts(protocol)
        self._layout = Layout(protocol.config["preset"])
        self._evaluation = protocol.config["evaluation"]

    def __iter__(self) -> Iterator[Result]:
        """Iterate over all results; what several models share comes once, with the first."""
        return iter(dict.fromkeys(r for m in self._protocol.models for r in self.chain(m)))

    def chain(self, model: Model) -> Iterator[Result]:
        """Iterate over all that a model's row needs, shared or its own."""
        folder = self._layout.model.format(**model.wildcards)
        trained = model.method in self._protocol.methods
        yield from self._of_images(self._protocol.data_source(model.dataset))
        if trained:
            yield from self._start(model)
        made = self._net(folder, model) if trained else self._converted(folder, model)
        for result in (*made, *self._found(folder, model, "last" if trained else "")):
            yield replace(result, model=model)

    def _of_images(self, source: str) -> Iterator[Result]:
        files = {part: self._layout.data(part).format(dataset=source) for part in ("train", "test")}
        for part, file in files.items():
            yield _result("dataset", file, partial(self._protocol.data, source, part))
        if self._evaluation.get("corruptions"):
            for family in CORRUPTIONS:
                file = self._layout.corrupted(family).format(dataset=source)
                asked = partial(self._verdicts.corrupt, source, family)
                yield _result("corrupt", file, asked, {"data": files["test"]})

    def _net_check(self, model: Model) -> str:
        return self._layout.net_check.format(dataset=model.dataset, arch=model.arch)

    def _images(self, dataset: str, part: str) -> str:
        return self._layout.data(part).format(dataset=self._protocol.data_source(dataset))

    def _trained_with(self, dataset: str) -> dict[str, str]:
        more = extra.path(self._protocol.config, dataset)
        return {"data": self._images(dataset, "train")} | ({"extra": more} if more else {})

    def _pretrained(self, model: Model) -> str | None:
        """File of the pretraining that a model starts from."""
        place = (model.dataset, model.arch, model.method)
        name = self._protocol.pretrain_name(*place)
        return name and self._layout.pretrained.format(recipe=name, **model.wildcards)

    def _start(self, model: Model) -> Iterator[Result]:
        """What comes before a training: the check of its net, and the pretraining, if any."""
        check, place = self._net_check(model), (model.dataset, model.arch)
        yield _result("check_net", check, partial(self._protocol.net, *place))
        if file := self._pretrained(model):  # several methods share one
            asked = partial(self._protocol.pretrain, *place, model.method, model.seed)
            names = [file.removesuffix(".safetensors") + last for last in ("", ".last")]
            yield _net("pretrain", names, asked, self._trained_with(model.dataset) | {"net": check})

    def _net(self, folder: str, model: Model) -> Iterator[Result]:
        """A net of ours, pruned and then trained."""
        protocol, images, start = self._protocol, self._trained_with(model.dataset), {}
        if file := self._pretrained(model):
            start = {"pretrained": file}
        names, check = [f"{folder}/pruned"], {"net": self._net_check(model)}
        yield _net("prune", names, partial(protocol.prune, model), images | start | check)
        inputs = images | {"pruned": f"{folder}/pruned.safetensors"}
        if file and protocol.plan(model).teacher:
            inputs["teacher"] = file
        names = [f"{folder}/checkpoint", f"{folder}/last"]
        yield _net("finetune", names, partial(protocol.finetune, model), inputs)

    def _converted(self, folder: str, model: Model) -> Iterator[Result]:
        """A net that was trained elsewhere."""
        source = {"source": self._protocol.source(model)}
        asked = partial(self._protocol.convert, model)
        yield _net("external", [f"{folder}/checkpoint"], asked, source)

    def _found(self, folder: str, model: Model, last: str) -> Iterator[Result]:
        """What attacks and counts found about a model."""
        made, checkpoint = self._verdicts, {"checkpoint": f"{folder}/checkpoint.safetensors"}
        train, test = (
            {"data": self._images(model.dataset, part)} | checkpoint for part in ("train", "test")
        )
        tables, warnings = {}, {}
        for attack in ("autoattack", "hofmn"):
            count = made.shards(model.dataset, attack)
            tables[attack] = [f"{folder}/{attack}-{i}.csv" for i in range(count)]
        tuned = {"tuned": f"{folder}/hofmn.json"}
        yield _result("hofmn_tune", tuned["tuned"], partial(made.hofmn_tune, model), train)
        for i, file in enumerate(tables["autoattack"]):
            more = file.replace(".csv", ".warnings.json")
            warnings[Path(more).name] = more
            yield _result("autoattack", file, partial(made.autoattack, model, i), test, more)
        for i, file in enumerate(tables["hofmn"]):
            yield _result("hofmn", file, partial(made.hofmn, model, i), test | tuned)
        attacked = {Path(f).name: f for files in tables.values() for f in files}
        final = {"last": f"{folder}/last.safetensors"} if last else {}
        inputs = {
            "audit": checkpoint,
            "pgd": test | final,
            "reliability": test | tuned | attacked,
            "costs": {"audit": f"{folder}/audit.json"} | checkpoint,
        }
        if self._evaluation.get("other_attacks"):
            checked = {"reliability": f"{folder}/reliability.json"}
            inputs["other_attacks"] = test | attacked | checked
        if self._evaluation.get("corruptions"):
            source = self._protocol.data_source(model.dataset)
            files = [self._layout.corrupted(f).format(dataset=source) for f in CORRUPTIONS]
            inputs["corruptions"] = test | {Path(f).name: f for f in files}
        for kind, parents in inputs.items():
            yield _result(
                kind, f"{folder}/{kind}.json", partial(getattr(made, kind), model), parents
            )
        counted = [f"{k}.json" for k in ("checkpoint", "audit", "hofmn", "reliability", "pgd")]
        parents = {name: f"{folder}/{name}" for name in counted} | attacked | warnings
        file = f"{folder}/evaluation.json"
        yield _result("evaluate", file, partial(made.evaluate, model), parents)


def _result(
    script: str,
    file: str,
    asked: Callable[[], Any],
    inputs: Mapping[str, str] | None = None,
    *more: str,
) -> Result:
    """A file that is no net: its card has the same name."""
    return Result(
        script, (file, *more), f"{file.rpartition('.')[0]}.card.json", asked, inputs or {}
    )


def _net(
    script: str, names: list[str], asked: Callable[[], Any], inputs: Mapping[str, str]
) -> Result:
    """Nets, each with its card."""
    files = [name + ending for ending in (".safetensors", ".json") for name in names]
    return Result(script, tuple(files), f"{names[0]}.json", asked, inputs)
