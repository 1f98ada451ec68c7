# Configuration, and what the rules use. The work is done by scripts/advprune.
import functools
import gc
import json
import os
import shlex
import sys

from snakemake.exceptions import WorkflowError

# A plan makes millions of objects that stay: a quarter of its time went into looking for garbage.
gc.set_threshold(100_000)

ROOT = os.path.dirname(os.path.dirname(workflow.main_snakefile))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

from advprune.base import imports
from advprune.plan import external, machine
from advprune.plan.config import load_config, method_file
from advprune.data.specs import spec_of
from advprune.base.errors import UserError
from advprune.plan.paths import Layout
from advprune.plan.protocol import CORRUPTIONS, Protocol

# A file given with --configfile replaces the default one instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: os.path.join(ROOT, "config", "config.yaml")


try:
    PROTOCOL = Protocol(load_config(config))
    CONFIG = PROTOCOL.config
    PATHS = Layout(CONFIG["preset"])
    LOGS = f"logs/{CONFIG['preset']}"
    for folder in (PATHS.root, LOGS):
        machine.check_folder(folder)
    external.check_files(PROTOCOL.external)
except UserError as error:
    raise WorkflowError(str(error)) from None

machine.use_this_python()


# No method has the name "-": an empty constraint would be none.
TRAINED, EXTERNAL = ("|".join(m) or "-" for m in (PROTOCOL.methods, PROTOCOL.external))


wildcard_constraints:
    dataset="|".join(CONFIG["datasets"]),
    arch="|".join(CONFIG["archs"]),
    method="|".join([*PROTOCOL.methods, *PROTOCOL.external]),
    target="(none|unstructured|filters|channels|kernels)-[0-9.]+",
    recipe="[a-z]+-[0-9a-f]{8}",
    seed="[0-9]+",
    shard="[0-9]+",


# Files of the repository


def near(path):
    """Path of a repository file as a job should be given it.

    Relative where the run happens inside the repository, so that moving the repository changes
    nothing; absolute where --directory leads elsewhere.
    """
    path = os.path.join(ROOT, path)
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def script(name):
    return near(f"scripts/{name}")


@functools.cache  # every job asks
def code(name, *modules):
    """Library files that a script imports: its inputs as much as its data are."""
    return [near(path) for path in imports.code_files(f"scripts/{name}", *modules)]


def net_code(name):
    """Input function: library files of a script with the module of the job's net."""
    return lambda wildcards: code(name, imports.net_module(wildcards.arch))


def net_files(wildcards):
    """Input function: the module of the job's net, with what it imports."""
    own = imports.net_module(wildcards.arch)
    return [near(path) for path in (own, *imports.code_files(own))]


def method_code(name):
    """Input function: the same with the module of the job's method."""
    return lambda wildcards: code(
        name,
        imports.method_module(wildcards.method),
        imports.net_module(wildcards.arch),
    )


def environment(name):
    return os.path.join(ROOT, "envs", f"{name}.yaml")


# What a job asks for


def on_cluster():
    """Whether jobs run on other machines.

    Snakemake tells when the run begins; before, and in a dry-run, --jobs without --cores does.
    """
    if workflow.executor_plugin is None or workflow.dryrun:
        asked = workflow.resource_settings
        return asked.nodes is not None and asked.cores in (None, 1)
    return not workflow.local_exec


def gpu(wildcards=None):
    """Resource function: a GPU wherever one may be, on a cluster, and here if there is one.

    Asking for one on a machine without would only keep jobs from running side by side.
    """
    return int(CONFIG["device"] != "cpu" and (on_cluster() or machine.has_gpu()))


def growing(with_gpu, without):
    """Resource function: minutes or MB of the first attempt; each further one gets as much more.

    A training that hits its limit goes on after its last epoch, AutoAttack after the last of its
    attacks, so no limit must hold all of it. Where the figures come from is said in docs/scaling.md.
    """
    return lambda wildcards, attempt: (with_gpu if gpu() else without) * attempt


if workflow.is_main_process:
    machine.announce(PROTOCOL, local=not on_cluster(), gpu=gpu())


# What a job is asked to do


def spec(function):
    """Parameter function: the job's specification as JSON text."""
    return lambda wildcards: json.dumps(function(wildcards), sort_keys=True)


def model_of(wildcards):
    """The model that a job belongs to."""
    return PROTOCOL.find(
        wildcards.dataset, wildcards.arch, wildcards.method, wildcards.target
    )


def attack_spec(attack):
    """Parameter function: settings of an attack with the model's seed."""
    return spec(
        lambda w: PROTOCOL.attack_spec(w.dataset, attack) | {"seed": int(w.seed)}
    )


def attack_settings(wildcards):
    """Settings of all attacks on a model."""
    return {
        attack: PROTOCOL.attack_spec(wildcards.dataset, attack)
        for attack in ("autoattack", "hofmn")
    }


def identity(wildcards):
    """What the leaderboard says a row is."""
    return PROTOCOL.identity(model_of(wildcards), int(wildcards.seed))


# Files of a run


def model_log(step):
    """Log of a step of a model; its resource use goes to the same name with .tsv."""
    return f"{LOGS}/{step}/{{dataset}}/{{arch}}/{{method}}/{{target}}/seed{{seed}}"


def pretrained(wildcards):
    """Input function: the net that a method starts from; none if it starts from a fresh one."""
    name = PROTOCOL.pretrain_name(wildcards.dataset, wildcards.arch, wildcards.method)
    return PATHS.pretrained.format(recipe=name, **wildcards) if name else []


def teacher(wildcards):
    """Input function: the dense net that finetuning learns from, where the method asks for it."""
    return pretrained(wildcards) if PROTOCOL.has_teacher(wildcards.method) else []


def shards(pattern, attack):
    """Input function: a file of every shard of a model."""
    return lambda w: [
        PATHS.of_model(pattern).format(shard=i, **w)
        for i in range(PROTOCOL.shards(w.dataset, attack))
    ]


def of_models(name):
    """Input function: a file of every model of one dataset and net."""
    pattern = PATHS.of_model(name)
    return lambda w: [
        pattern.format(**m.wildcards)
        for m in PROTOCOL.models
        if (m.dataset, m.arch) == (w.dataset, w.arch)
    ]


def thin_ice_models(wildcards):
    """Models of one target, all methods and seeds."""
    chosen = (wildcards.dataset, wildcards.arch, wildcards.target)
    return [m for m in PRUNED_HERE if (m.dataset, m.arch, m.target) == chosen]


def thin_ice_spec(wildcards):
    """Specification of the comparison of a target's models with the dense nets of their seeds."""
    start = PROTOCOL.pretrain_name(wildcards.dataset, wildcards.arch, "dense")
    models = thin_ice_models(wildcards)
    return {
        "eps": CONFIG["datasets"][wildcards.dataset]["eps"],
        "shards": PROTOCOL.shards(wildcards.dataset, "hofmn"),
        "dense": {
            m.seed: PATHS.model.format(**PROTOCOL.dense(m).wildcards) for m in models
        },
        "models": [
            {
                "model": PROTOCOL.identity(m, m.seed),
                "folder": PATHS.model.format(**m.wildcards),
                "same_pretraining": PROTOCOL.pretrain_name(m.dataset, m.arch, m.method)
                == start,
            }
            for m in models
        ],
    }


def thin_ice_tables(wildcards):
    """Input function: HO-FMN's tables of the target's models and their dense nets."""
    models = thin_ice_models(wildcards)
    models += sorted({PROTOCOL.dense(m) for m in models}, key=str)
    pattern = PATHS.of_model("hofmn-{shard}.csv")
    count = PROTOCOL.shards(wildcards.dataset, "hofmn")
    return [
        pattern.format(shard=i, **m.wildcards) for m in models for i in range(count)
    ]


# What a net from elsewhere was before it was pruned is not known.
PRUNED_HERE = [
    m
    for m in PROTOCOL.models
    if m.structure != "none" and m.method in PROTOCOL.methods and PROTOCOL.dense(m)
]
ALL_THIN_ICE = sorted(
    {PATHS.thin_ice(".png").format(**m.wildcards) for m in PRUNED_HERE}
)
SETTINGS = sorted({(m.dataset, m.arch) for m in PROTOCOL.models})
ALL_EVALUATIONS, ALL_COSTS, ALL_CORRUPTIONS, ALL_OPINIONS = (
    [pattern.format(dataset=dataset, arch=arch) for dataset, arch in SETTINGS]
    for pattern in (
        PATHS.evaluations,
        PATHS.gathered("costs"),
        PATHS.gathered("corruptions"),
        PATHS.gathered("opinions"),
    )
)
METHOD_FILES = [near(method_file(key)) for key in sorted(PROTOCOL.methods)]
