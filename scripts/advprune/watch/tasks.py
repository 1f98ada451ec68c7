"""The jobs of a run as their files: what each writes, and its log. Without torch.

The rules say the same to Snakemake; tests/workflow/test_rows.py compares the two. What is only
gathered or drawn of all models is left out: it takes seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from advprune.base.files import read_json
from advprune.plan.grid import Model
from advprune.plan.verdicts import CORRUPTIONS
from advprune.watch.place import Run

# In the order of a model's chain, which is the order of the tables.
STEPS = [
    *("dataset", "corrupt", "fetch", "unavailable"),
    *("check_net", "pretrain", "external", "prune", "finetune"),
    *("audit", "pgd", "autoattack", "hofmn_tune", "hofmn", "reliability", "evaluate"),
    *("costs", "other_attacks", "corruptions"),
]
# What a step is for: when that is done, its own files are no longer needed.
SERVES = {"prune": "finetune"} | dict.fromkeys(
    ("external", "finetune", "audit", "pgd", "autoattack", "hofmn_tune", "hofmn", "reliability"),
    "evaluate",
)


def priorities(models: Sequence[Model]) -> dict[Model, int]:
    """Priority of every model's jobs: depth first, in the order of the grid.

    Of the jobs that are ready, those of the first model run first, and of these the last of its
    chain. What models share comes when none of them has a job that is ready.
    """
    return {model: (len(models) - i) * len(STEPS) for i, model in enumerate(models)}


@dataclass(frozen=True)
class Task:
    """A job: its rule, the files it writes and its log, named as the workflow names them.

    `model` is None where several models share the job.
    """

    step: str
    outputs: tuple[str, ...]
    log: str
    model: Model | None = None

    @property
    def benchmark(self) -> str:
        """What the job used."""
        return f"{self.log.removesuffix('.log')}.tsv"


def chain(run: Run, model: Model) -> list[Task]:
    """Every job that a model's row needs, in the order in which they can run."""
    return [*_shared(run, model), *_own(run, model)]


def chains(run: Run) -> dict[Model, list[Task]]:
    """The chain of every model of a run."""
    return {model: chain(run, model) for model in run.protocol.models}


def _shared(run: Run, model: Model) -> Iterator[Task]:
    paths, protocol = run.layout, run.protocol
    source = protocol.data_source(model.dataset)
    for part in ("train", "test"):
        name = paths.data(part).format(dataset=source)
        yield Task("dataset", (name,), paths.log(f"dataset/{source}-{part}"))
    if "corruptions" in run.verdicts.evaluation:
        for family in CORRUPTIONS:
            name = paths.corrupted(family).format(dataset=source)
            yield Task("corrupt", (name,), paths.log(f"corrupt/{source}-{family}"))
    if item := protocol.released.get(model):
        file = paths.fetched.format(key=item.key)
        yield Task("fetch", (file,), paths.log(f"fetch/{item.key}"))
    if model.method not in protocol.methods:
        return
    place = {"dataset": model.dataset, "arch": model.arch, "seed": model.seed}
    log = paths.log(f"check_net/{model.dataset}/{model.arch}")
    yield Task("check_net", (paths.net_check.format(**place),), log)
    if recipe := protocol.pretrain_name(model.dataset, model.arch, model.method):
        nets = (paths.pretrained, paths.pretrained_last)
        log = "pretrain/{dataset}/{arch}/{recipe}/seed{seed}"
        place |= {"recipe": recipe}
        outputs = tuple(net.format(**place) for net in nets)
        yield Task("pretrain", outputs, paths.log(log.format(**place)))


def _own(run: Run, model: Model) -> Iterator[Task]:
    def task(step: str, *names: str, part: str = "") -> Task:
        files = tuple(run.layout.of_model(name).format(**model.wildcards) for name in names)
        return Task(step, files, run.layout.model_log(step, part).format(**model.wildcards), model)

    if _is_absent(run, model):
        yield task("unavailable", "unavailable.json")
        return
    if model.method not in run.protocol.methods:
        yield task("external", "checkpoint.safetensors", "checkpoint.json")
    else:
        yield task("prune", "pruned.safetensors", "pruned.json")
        yield task("finetune", "checkpoint.safetensors", "checkpoint.json", "last.safetensors")
    yield task("audit", "audit.json")
    yield task("pgd", "pgd.json")
    for i in range(run.verdicts.shards(model.dataset, "autoattack")):
        kinds = ("csv", "warnings.json", "card.json")
        yield task("autoattack", *(f"autoattack-{i}.{kind}" for kind in kinds), part=f"-{i}")
    yield task("hofmn_tune", "hofmn.json", "hofmn.card.json")
    for i in range(run.verdicts.shards(model.dataset, "hofmn")):
        yield task("hofmn", f"hofmn-{i}.csv", f"hofmn-{i}.card.json", part=f"-{i}")
    yield task("reliability", "reliability.json")
    yield task("evaluate", "evaluation.json", "evaluation.card.json")
    yield task("costs", "costs.json")
    for asked in ("other_attacks", "corruptions"):
        if run.verdicts.evaluation.get(asked):
            yield task(asked, f"{asked}.json")


def _is_absent(run: Run, model: Model) -> bool:
    """Whether it is known that a released file cannot be had: then there is a row, and no more."""
    item = run.protocol.released.get(model)
    file = item and run.path(run.layout.fetched.format(key=item.key))
    return bool(file and file.is_file() and not read_json(file)["available"])
