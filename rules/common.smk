# Configuration, and what the rules use. The work is done by scripts/advprune.
import gc
import os
import shlex
import sys

from snakemake.exceptions import WorkflowError

# A plan makes millions of objects that stay: a quarter of its time went into looking for garbage.
gc.set_threshold(100_000)

ROOT = os.path.dirname(os.path.dirname(workflow.main_snakefile))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

from advprune.base.errors import UserError
from advprune.base.record import to_json
from advprune.plan import code, extra, machine
from advprune.plan.config import load_config
from advprune.plan.feasible import check as feasible
from advprune.plan.methods import method_file
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol
from advprune.plan.specs import PageSpec, TableSpec
from advprune.plan.verdicts import CORRUPTIONS, Verdicts

# A file given with --configfile replaces the default one instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: os.path.join(ROOT, "config", "config.yaml")


try:
    PROTOCOL = Protocol(load_config(config))
    VERDICTS = Verdicts(PROTOCOL)
    CONFIG = PROTOCOL.config
    PATHS = Layout(CONFIG["preset"])
    for folder in (PATHS.root, PATHS.logs):
        machine.check_folder(folder)
    if (
        workflow.is_main_process
    ):  # jobs that read the rules again need not look at files again
        feasible.check(PROTOCOL, PATHS)
except UserError as error:
    raise WorkflowError(str(error)) from None

machine.use_this_python()
machine.name_device(CONFIG["device"])


# No method has the name "-": an empty constraint would be none.
TRAINED, EXTERNAL = ("|".join(m) or "-" for m in (PROTOCOL.methods, PROTOCOL.external))


wildcard_constraints:
    # and the folders of images that only variants name
    dataset="|".join(
        dict.fromkeys(
            [*CONFIG["datasets"], *map(PROTOCOL.data_source, CONFIG["datasets"])]
        )
    ),
    arch="|".join(CONFIG["archs"]),
    method="|".join([*PROTOCOL.methods, *PROTOCOL.external]),
    target="(none|unstructured|filters|channels|kernels)-[0-9.]+",
    recipe="[a-z]+-[0-9a-f]{8}",
    seed="[0-9]+",
    shard="[0-9]+",
    family="|".join(CORRUPTIONS),


# A job: what it is asked to do is a specification, the digest of its code, and its files. Inputs
# and outputs with a name are the script's options of that name.


def near(path):
    """Path of a repository file as a job should be given it.

    Relative where the run happens inside the repository, so that moving the repository changes
    nothing; absolute where --directory leads elsewhere.
    """
    path = os.path.join(ROOT, path)
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def environment(name):
    return os.path.join(ROOT, "envs", f"{name}.yaml")


def options(wildcards, input, output):
    """Parameter function: the named files of a job as options; those that are empty are left out."""
    named = [*input.items(), *output.items()]
    files = [(name, [f] if isinstance(f, str) else f) for name, f in named]
    return " ".join(
        f"--{name.replace('_', '-')} {shlex.join(f)}" for name, f in files if f
    )


def job(script, spec=None):
    """Parameters of a job; `spec` makes its specification from the wildcards."""
    if spec is None:
        return {"code": code.digest(script, None), "options": options}
    return {
        "spec": lambda wildcards: to_json(spec(wildcards)),
        "code": lambda wildcards: code.digest(script, spec(wildcards)),
        "options": options,
    }


def torch_job(script, spec):
    """Parameters of a job that uses torch: the number of its threads changes the last digits."""
    return job(script, spec) | {"threads": CONFIG["threads"]}


def run(script):
    """Command of a job without a specification."""
    path = shlex.quote(near(f"scripts/{script}.py"))
    # a folder's own braces are no wildcards
    path = path.replace("{", "{{").replace("}", "}}")
    return f"python {path} {{params.options}} --log {{log:q}}"


def run_spec(script):
    """Command of a job with one."""
    return run(script) + " --spec {params.spec:q}"


def run_torch(script):
    """Command of a job that uses torch."""
    device = "${{ADVPRUNE_DEVICE:-auto}}"
    return run_spec(script) + f" --threads {{params.threads}} --device {device}"


# What a job needs


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


# Minutes with a GPU, minutes and MB without, of the first attempt; each further one gets as much
# more. A training that hits its limit goes on after its last epoch, AutoAttack after the last of its
# attacks, so no limit must hold all of it. Where the figures come from is said in docs/scaling.md.
FIRST_ATTEMPT = {
    "autoattack": (240, 2880, 12_000),
    "hofmn_tune": (60, 720, 4_000),
    "hofmn": (60, 1440, 16_000),
    "pgd": (60, 720, 12_000),
    "reliability": (60, 1440, 16_000),
    "other_attacks": (120, 1440, 12_000),
    "corruptions": (30, 720, 12_000),
    "corrupt": (240, 240, 4_000),
    "costs": (30, 60, 12_000),
    "pretrain": (480, 1440, 4_000),
    "prune": (480, 1440, 4_000),
    "finetune": (480, 1440, 4_000),
}


def torch_resources(rule):
    """Resources of a job that uses torch."""
    minutes, minutes_without, mem_mb_without = FIRST_ATTEMPT[rule]

    def growing(with_gpu, without):
        return lambda wildcards, attempt: (with_gpu if gpu() else without) * attempt

    return {
        "gpu": gpu,
        "runtime": growing(minutes, minutes_without),
        "mem_mb": growing(8_000, mem_mb_without),
    }


if workflow.is_main_process:
    machine.announce(PROTOCOL, local=not on_cluster(), gpu=gpu())


# Models and files


def model(wildcards):
    """The model that a job belongs to."""
    w = wildcards
    return PROTOCOL.grid.find(w.dataset, w.arch, w.method, w.target, int(w.seed))


def of_model(function):
    """Specification of a job of one model."""
    return lambda wildcards: function(model(wildcards))


def of_shard(function):
    """Specification of a job of one model and shard."""
    return lambda wildcards: function(model(wildcards), int(wildcards.shard))


def pretraining(wildcards):
    """Specification of a pretraining."""
    w = wildcards
    return PROTOCOL.pretrain_of(w.dataset, w.arch, w.recipe, int(w.seed))


def images(part):
    """Input function: a dataset's images; variants of a dataset share them."""
    pattern = PATHS.data(part)
    return lambda w: pattern.format(dataset=PROTOCOL.data_source(w.dataset))


def corrupted(wildcards):
    """Input function: its corrupted test images, of every family."""
    source = PROTOCOL.data_source(wildcards.dataset)
    return [PATHS.corrupted(family).format(dataset=source) for family in CORRUPTIONS]


def pretrained(wildcards):
    """Input function: the net that a method starts from; none if it starts from a fresh one."""
    name = PROTOCOL.pretrain_name(wildcards.dataset, wildcards.arch, wildcards.method)
    return PATHS.pretrained.format(recipe=name, **wildcards) if name else []


def extra_images(wildcards):
    """Input function: the file of extra images to train with, where the dataset has one."""
    return extra.path(CONFIG, wildcards.dataset) or []


def teacher(wildcards):
    """Input function: the dense net that finetuning learns from, where the method asks for it."""
    return pretrained(wildcards) if PROTOCOL.plan(wildcards).teacher else []


def last_epoch(wildcards):
    """Input function: the net of the last epoch; only one is known that was trained elsewhere."""
    known = wildcards.method in PROTOCOL.methods
    return PATHS.of_model("last.safetensors").format(**wildcards) if known else []


def shards(pattern, attack):
    """Input function: a file of every shard of a model."""
    return lambda w: [
        PATHS.of_model(pattern).format(shard=i, **w)
        for i in range(VERDICTS.shards(w.dataset, attack))
    ]


def of_models(name):
    """Input function: a file of every model of one dataset and net."""
    pattern = PATHS.of_model(name)
    return lambda w: [
        pattern.format(**m.wildcards) for m in PROTOCOL.grid.of(w.dataset, w.arch)
    ]


def thin_ice_models(wildcards):
    """Models of one target, all methods and seeds."""
    chosen = (wildcards.dataset, wildcards.arch, wildcards.target)
    return [m for m in PRUNED if (m.dataset, m.arch, m.target) == chosen]


def thin_ice_tables(wildcards):
    """Input function: HO-FMN's tables of the target's models and their dense nets."""
    models = thin_ice_models(wildcards)
    models += sorted({PROTOCOL.grid.dense(m) for m in models}, key=str)
    pattern = PATHS.of_model("hofmn-{shard}.csv")
    count = VERDICTS.shards(wildcards.dataset, "hofmn")
    return [
        pattern.format(shard=i, **m.wildcards) for m in models for i in range(count)
    ]


def gathered(kind):
    """A kind of finding about all models: a file per dataset and net."""
    settings = sorted({(m.dataset, m.arch) for m in PROTOCOL.models})
    return [PATHS.gathered(kind).format(dataset=d, arch=a) for d, a in settings]


PRUNED = VERDICTS.pruned_here()
ALL_THIN_ICE = sorted({PATHS.thin_ice(".png").format(**m.wildcards) for m in PRUNED})
METHOD_FILES = [
    near(method_file(key))
    for key in sorted({variant.key for variant in PROTOCOL.methods.values()})
]
TABLES = ["costs.csv"]
if CONFIG["evaluation"].get("other_attacks"):
    TABLES += ["other_attacks.csv"]
if CONFIG["evaluation"].get("corruptions"):
    TABLES += ["corruptions.csv", "corruptions_means.csv"]
