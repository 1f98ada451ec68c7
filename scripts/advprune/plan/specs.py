"""What each job is asked to do: one frozen dataclass per kind of job. Pure Python without torch.

Written by `plan.protocol`, read by the script of the same name. Declarations only: their values
are part of a job's identity by themselves, so this file is not (`base.imports`). Radii and steps
are numbers in [0, 1] pixel units, `sparsity` is the removed share, in [0, 1). `final_pool` and
`hidden` are options of the net, None for its own default (`models.registry`). Never change a
default here: results made with the old one would pass for results of the new one.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Threat:
    """Linf threat during training: radius, step size (both in [0, 1] pixel units) and steps."""

    eps: float
    step: float
    steps: int


@dataclass(frozen=True)
class Recipe:
    """One phase of training.

    Times are shares of the whole phase, so that a recipe keeps its shape when it is shortened:
    `milestones` (multistep) where the rate is multiplied by `factor`; `warmup`, the first share
    that rises linearly from `warmup_from` times the rate; `peak` (onecycle), where the rate is
    highest; `cycles` (thirds), how often the rate restarts, at 1, 1/10, 1/100 for a third of a
    cycle each. `optimizer` is "sgd" or "adam", whose first moment decays by `momentum`.
    """

    epochs: int
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    warmup: float = 0.0
    peak: float = 0.3
    cycles: int = 1
    optimizer: str = "sgd"
    warmup_from: float = 0.1


@dataclass(frozen=True)
class Published:
    """What was published of a net: accuracies in [0, 1], clean and under AutoAttack.

    `eps` is its Linf radius in [0, 1] pixel units, `images` the number of test images. `eps` 0
    stands for the radius of the run, `images` 0 for the images of the run.
    """

    clean: float | None = None
    autoattack: float | None = None
    eps: float = 0.0
    images: int = 0


@dataclass(frozen=True)
class Row:
    """What the leaderboard says a model is.

    `method`, `dataset` and `arch` are the names of variants where the model is one. `name` and
    `stage` only of nets from elsewhere, `name` also of variants of a method, whose `variant_of` is
    its key. `objective` is the name of that of the last training; None of nets from elsewhere.
    `released_of` is the key of the method whose authors released the net, `published` what was
    published of it.
    """

    method: str
    dataset: str
    arch: str
    structure: str
    sparsity: float
    seed: int
    name: str | None = None
    stage: str | None = None
    variant_of: str | None = None
    objective: str | None = None
    released_of: str | None = None
    published: Published | None = None


@dataclass(frozen=True)
class DataSpec:
    """A part of a dataset, "train" or "test"; `limits` keeps the first images of its splits."""

    name: str
    part: str
    limits: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CorruptSpec:
    """The first test images, corrupted by every corruption of a family."""

    images: int
    family: str


@dataclass(frozen=True)
class CheckNetSpec:
    """A net for images of `size` pixels."""

    arch: str
    width: int
    classes: int
    channels: int
    size: int
    final_pool: str | None = None
    hidden: tuple[int, ...] | None = None


@dataclass(frozen=True)
class PretrainSpec:
    """A dense net, trained adversarially. An objective is its name and its parameters.

    `extra` is the share of extra images in every batch, in [0, 1), `precision` that of the net's
    passes: "fp32", "tf32" or "bf16".
    """

    arch: str
    width: int
    seed: int
    threat: Threat
    objective: dict[str, Any]
    recipe: Recipe
    extra: float = 0.0
    precision: str = "fp32"
    final_pool: str | None = None
    hidden: tuple[int, ...] | None = None


@dataclass(frozen=True)
class PruneSpec:
    """A method's search; objectives and recipes by phase, `params` the method's own.

    `extra` is the share of extra images in every batch of training, in [0, 1), `precision` that of
    the net's passes in training: "fp32", "tf32" or "bf16".
    """

    method: str
    arch: str
    width: int
    seed: int
    structure: str
    sparsity: float
    threat: Threat
    objectives: dict[str, dict[str, Any]]
    recipes: dict[str, Recipe]
    params: dict[str, Any]
    teacher: bool = False
    extra: float = 0.0
    precision: str = "fp32"
    final_pool: str | None = None
    hidden: tuple[int, ...] | None = None


@dataclass(frozen=True)
class FinetuneSpec(PruneSpec):
    """The same for masked training; `final` is its phase, None where there is nothing to do."""

    final: str | None = None


@dataclass(frozen=True)
class ExternalSpec:
    """A net that was trained elsewhere: moments of its images, patterns to rename tensors by.

    Where its file leaves a choice: the place of its state dict, and "apply" or "leave" for masks
    and scores, "leave" for moments of its own. `sparsity` is what scores are cut at. `layout` is
    a layout or a method by name, `layouts` the digest of all of them where one may be used; empty
    moments are those of the layout.
    """

    arch: str
    width: int
    classes: int
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rename: dict[str, str | None] = field(default_factory=dict)
    key: str | None = None
    masks: str | None = None
    scores: str | None = None
    moments: str | None = None
    sparsity: float = 0.0
    layout: str | None = None
    final_pool: str | None = None
    hidden: tuple[int, ...] | None = None
    layouts: str = ""


@dataclass(frozen=True)
class FetchSpec:
    """A released file: where it is, whose net it holds, and at which sparsity.

    `url` has `{id}` in the place of `file_id`; `net` is ours. `sha256` is the hash that the file
    has in the lock file, "" where it is in none.
    """

    key: str
    file_id: str
    file_name: str
    url: str
    method: str
    net: CheckNetSpec
    sparsity: float
    sha256: str = ""


COUNTED = ("weights", "convolutions", "filters", "macs")  # rules of `evaluation.claims`


@dataclass(frozen=True)
class AuditSpec:
    """The target of a model.

    `counted` says how its claim is counted where it is not ours: one of `COUNTED`. "" for ours.
    """

    arch: str
    structure: str
    sparsity: float
    counted: str = ""


@dataclass(frozen=True)
class AutoattackSpec:
    """AutoAttack on one shard of `shard_size` test images; `keep` says to write what it found."""

    arch: str
    seed: int
    eps: float
    version: str
    shard_size: int
    batch: int
    shard: int = 0
    precision: str = "fp32"
    keep: bool = False


@dataclass(frozen=True)
class HofmnTuneSpec:
    """The search for FMN's hyper-parameters on validation images."""

    arch: str
    seed: int
    eps: float
    images: int
    trials: int
    steps: int
    batch: int
    precision: str = "fp32"


@dataclass(frozen=True)
class HofmnSpec:
    """The tuned FMN on one shard of `shard_size` test images; `keep` as for AutoAttack."""

    arch: str
    shard_size: int
    steps: int
    batch: int
    shard: int = 0
    precision: str = "fp32"
    keep: bool = False


@dataclass(frozen=True)
class PgdSpec:
    """PGD from a random start on all test images, on a model's best and last epoch."""

    arch: str
    seed: int
    eps: float
    step: float
    steps: int
    batch: int


@dataclass(frozen=True)
class ReliabilitySpec:
    """The first `images` attacked again, with the settings that the verdicts were made with."""

    arch: str
    seed: int
    eps: float
    images: int
    steps: int
    batch: int
    version: str
    fmn_steps: int


@dataclass(frozen=True)
class OtherAttacksSpec:
    """Attacks of other libraries on the first `images`."""

    arch: str
    row: Row
    eps: float
    images: int
    steps: int


@dataclass(frozen=True)
class CorruptionsSpec:
    """Accuracy on the first `images`, corrupted."""

    arch: str
    row: Row
    images: int
    batch: int


@dataclass(frozen=True)
class CostsSpec:
    """Counts and latencies; `batch` images at a time, and one."""

    arch: str
    row: Row
    batch: int


@dataclass(frozen=True)
class EvaluateSpec:
    """The count of a model's verdicts; `eps_text` is the radius as the configuration has it.

    `width` and options are the net's, `budget` the epochs that the model may train, None of one
    from elsewhere. `claims` are accuracies in [0, 1] that are said of one from elsewhere: "clean"
    and "robust".
    """

    row: Row
    eps: float
    eps_text: str
    classes: int
    autoattack: AutoattackSpec
    hofmn: HofmnSpec
    hofmn_tune: HofmnTuneSpec
    width: int | None = None
    budget: int | None = None
    final_pool: str | None = None
    hidden: tuple[int, ...] | None = None
    claims: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class UnavailableSpec:
    """The row of a net that cannot be had, which was to be attacked at `eps` on `images`."""

    row: Row
    eps: float
    eps_text: str
    images: int


@dataclass(frozen=True)
class Pruned:
    """A model of one target, the folder of its tables, and whether it began as dense began."""

    row: Row
    folder: str
    same_pretraining: bool


@dataclass(frozen=True)
class ThinIceSpec:
    """Models of one target beside the dense nets of their seeds (folders by seed)."""

    eps: float
    shards: int
    dense: dict[str, str]
    models: list[Pruned]


@dataclass(frozen=True)
class TableSpec:
    """A table of a kind of finding."""

    kind: str


@dataclass(frozen=True)
class PageSpec:
    """The page of a run."""

    preset: str = ""
