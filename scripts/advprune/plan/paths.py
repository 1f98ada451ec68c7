"""The names of all files of a run, used by the rules (as patterns) and by the code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """File names below `results/<preset>`; braces are the workflow's wildcards."""

    preset: str

    @property
    def root(self) -> str:
        """Folder of everything this preset produces."""
        return f"results/{self.preset}"

    @property
    def train(self) -> str:
        """A dataset's training and validation images."""
        return f"{self.root}/{{dataset}}/train.safetensors"

    @property
    def test(self) -> str:
        """A dataset's test images."""
        return f"{self.root}/{{dataset}}/test.safetensors"

    @property
    def net_check(self) -> str:
        """What was found about a fresh net for a dataset before any training."""
        return f"{self.root}/{{dataset}}/{{arch}}/net.json"

    @property
    def pretrained(self) -> str:
        """A robustly pretrained net, shared by all methods with the same recipe."""
        return f"{self.root}/{{dataset}}/{{arch}}/pretrained/{{recipe}}/seed{{seed}}.safetensors"

    @property
    def model(self) -> str:
        """Folder of one model: `target` is structure-sparsity."""
        return f"{self.root}/{{dataset}}/{{arch}}/{{method}}/{{target}}/seed{{seed}}"

    @property
    def evaluations(self) -> str:
        """The evaluations of all models of one dataset and net."""
        return f"{self.root}/{{dataset}}/{{arch}}/evaluations.json"

    def gathered(self, kind: str) -> str:
        """Another finding about all models of one dataset and net."""
        return f"{self.root}/{{dataset}}/{{arch}}/{kind}.json"

    def corrupted(self, family: str) -> str:
        """Test images of a dataset under a family of common corruptions."""
        return f"{self.root}/{{dataset}}/corrupted-{family}.safetensors"

    def thin_ice(self, ending: str) -> str:
        """A file about the distances of all models of one target, before and after pruning."""
        return f"{self.root}/thin_ice/{{dataset}}-{{arch}}-{{target}}{ending}"

    def of_model(self, name: str) -> str:
        """A file in the model's folder."""
        return f"{self.model}/{name}"

    def summary(self, name: str) -> str:
        """A file about all models."""
        return f"{self.root}/{name}"


def target_name(structure: str, sparsity: str) -> str:
    """Folder name of a pruning target: `unstructured-0.9`, `none-0`."""
    return f"{structure}-{sparsity}"
