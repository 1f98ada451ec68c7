"""The names of all files of a run, used by the rules (as patterns) and by the code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MODEL = "{dataset}/{arch}/{method}/{target}/seed{seed}"
DOWNLOADS = "results/downloads/released"  # of all presets


@dataclass(frozen=True)
class Layout:
    """File names below `results/<preset>`; braces are the workflow's wildcards."""

    preset: str

    @property
    def root(self) -> str:
        """Folder of everything this preset produces."""
        return f"results/{self.preset}"

    @property
    def logs(self) -> str:
        """Folder of all logs of this preset."""
        return f"logs/{self.preset}"

    @property
    def plan(self) -> str:
        """The configuration of the run that last wrote here."""
        return f"{self.root}/configuration.yaml"

    @property
    def partial(self) -> str:
        """Folder of the tables of a run that is not complete."""
        return f"{self.root}/partial"

    @property
    def journal(self) -> str:
        """What Snakemake began, finished and gave up, line by line."""
        return f"{self.logs}/run.jsonl"

    def log(self, name: str) -> str:
        """Log of a job; what it used goes to the same name with .tsv."""
        return f"{self.logs}/{name}.log"

    def benchmark(self, name: str) -> str:
        """What a job used: seconds and memory."""
        return f"{self.logs}/{name}.tsv"

    def model_log(self, step: str, part: str = "") -> str:
        """Log of a step of a model, of a part of it where it has several."""
        return self.log(f"{step}/{_MODEL}{part}")

    def model_benchmark(self, step: str, part: str = "") -> str:
        """What it used."""
        return self.benchmark(f"{step}/{_MODEL}{part}")

    def data(self, split: str) -> str:
        """A dataset's training and validation images ("train"), or its test images ("test")."""
        return f"{self.root}/{{dataset}}/{split}.safetensors"

    @property
    def net_check(self) -> str:
        """What was found about a fresh net for a dataset before any training."""
        return f"{self.root}/{{dataset}}/{{arch}}/net.json"

    @property
    def pretrained(self) -> str:
        """A robustly pretrained net, shared by all methods with the same recipe."""
        return f"{self.root}/{{dataset}}/{{arch}}/pretrained/{{recipe}}/seed{{seed}}.safetensors"

    @property
    def pretrained_last(self) -> str:
        """The net of its last epoch, which nothing is made from."""
        return self.pretrained.replace(".safetensors", ".last.safetensors")

    @property
    def model(self) -> str:
        """Folder of one model: `target` is structure-sparsity."""
        return f"{self.root}/{_MODEL}"

    @staticmethod
    def finding(kind: str) -> str:
        """A model's file of a kind of finding, such as "evaluations" or "costs"."""
        return "evaluation.json" if kind == "evaluations" else f"{kind}.json"

    def gathered(self, kind: str) -> str:
        """A kind of finding about all models of one dataset and net."""
        return f"{self.root}/{{dataset}}/{{arch}}/{kind}.json"

    @property
    def fetched(self) -> str:
        """Whether a released file could be had, and what it is."""
        return f"{self.root}/released/{{key}}.json"

    def corrupted(self, family: str) -> str:
        """Test images of a dataset under a family of common corruptions."""
        return f"{self.root}/{{dataset}}/corrupted-{family}.safetensors"

    def section(self, key: str) -> str:
        """What an analysis hands to the page."""
        return f"{self.root}/sections/{key}.json"

    def thin_ice(self, ending: str) -> str:
        """A file about the distances of all models of one target, before and after pruning."""
        return f"{self.root}/thin_ice/{{dataset}}-{{arch}}-{{target}}{ending}"

    @property
    def overlap(self) -> str:
        """How far the masks of one dataset and net agree."""
        return f"{self.root}/{{dataset}}/{{arch}}/overlap.csv"

    def of_model(self, name: str) -> str:
        """A file in the model's folder."""
        return f"{self.model}/{name}"

    def summary(self, name: str) -> str:
        """A file about all models."""
        return f"{self.root}/{name}"


def target_name(structure: str, sparsity: str) -> str:
    """Folder name of a pruning target: `unstructured-0.9`, `none-0`."""
    return f"{structure}-{sparsity}"


def model_folder(place: Path, model: Mapping[str, Any]) -> Path | None:
    """Folder of a model below that of its dataset and net; None where there is none.

    A sparsity is compared as a number: configurations may say 0.90 and 0.9.
    """
    pattern = f"{model['method']}/{model['structure']}-*/seed{model['seed']}"
    found = (f for f in place.glob(pattern) if _sparsity(f.parent.name) == model["sparsity"])
    return next(found, None)


def _sparsity(target: str) -> float:
    return float(target.rpartition("-")[2])
