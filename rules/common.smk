# Configuration, and what the rules use. The work is done by scripts/advprune.
import functools
import gc
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.logging import logger

# A plan makes millions of objects that stay: a quarter of its time went into looking for garbage.
gc.set_threshold(100_000)

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(workflow.main_snakefile)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.base.provenance import sha256
from advprune.base.record import to_json
from advprune.identity import judge
from advprune.identity.results import Results
from advprune.plan import code, extra, machine, released
from advprune.plan.config import load_config
from advprune.plan.feasible import check as feasible
from advprune.plan.methods import method_file
from advprune.plan.paths import DOWNLOADS, Layout
from advprune.plan.protocol import Protocol
from advprune.plan.specs import PageSpec, TableSpec
from advprune.plan.verdicts import CORRUPTIONS, Verdicts
from advprune.watch.hooks import Hooks
from advprune.watch.tasks import STEPS, priorities

# A file given with --configfile replaces the default one instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: os.path.join(ROOT, "config", "config.yaml")


try:
    machine.check_order(workflow.overwrite_configfiles)
    PROTOCOL = Protocol(load_config(config, workflow.config_settings.config))
    VERDICTS = Verdicts(PROTOCOL)
    CONFIG = PROTOCOL.config
    PATHS = Layout(CONFIG["preset"])
    machine.check_place(os.getcwd())
    for folder in (PATHS.root, PATHS.logs):
        machine.check_folder(folder)
    if workflow.is_main_process:  # jobs that read the rules again need not look again
        feasible.check(PROTOCOL, PATHS)
except UserError as error:
    raise WorkflowError(str(error)) from None

machine.use_this_python()
machine.name_device(CONFIG["device"])
machine.name_checkout(ROOT)


# No method has the name "-": an empty constraint would be none.
TRAINED, EXTERNAL = ("|".join(m) or "-" for m in (PROTOCOL.methods, PROTOCOL.elsewhere))
RELEASED = sorted({item.key for item in PROTOCOL.released.values()})


wildcard_constraints:
    # and the folders of images that only variants name
    dataset="|".join(
        dict.fromkeys(
            [*CONFIG["datasets"], *map(PROTOCOL.data_source, CONFIG["datasets"])]
        )
    ),
    arch="|".join(CONFIG["archs"]),
    method="|".join([*PROTOCOL.methods, *PROTOCOL.elsewhere]),
    target="(none|unstructured|filters|channels|kernels)-[0-9.]+",
    recipe="[a-z]+-[0-9a-f]{8}",
    seed="[0-9]+",
    shard="[0-9]+",
    family="|".join(CORRUPTIONS),


# A job: what it is asked to do is a specification, the digest of its code, and its files. Inputs
# and outputs with a name are the script's options of that name.


def environment(name):
    path = os.path.join(ROOT, "envs", f"{name}.yaml")
    # a folder's own braces are no wildcards
    return path.replace("{", "{{").replace("}", "}}")


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


def page_job(script, spec=None):
    """The same of a job that shows methods: their YAMLs, by content, for their place is no matter."""
    keys = {variant.key for variant in PROTOCOL.methods.values()}
    keys = sorted(keys | {item.method for item in PROTOCOL.released.values()})
    contents = [sha256(method_file(key)) for key in keys]
    files = " ".join(f'"$ADVPRUNE_CHECKOUT"/config/methods/{key}.yaml' for key in keys)

    def with_methods(wildcards, input, output):
        return options(wildcards, input, output) + f" --methods {files}" * bool(keys)

    return job(script, spec) | {"options": with_methods, "methods": contents}


def config_job(script, name, file):
    """The same with a file of config/ besides, as the option of that name."""
    parameters = page_job(script)
    first = parameters["options"]

    def with_file(wildcards, input, output):
        given = f' --{name} "$ADVPRUNE_CHECKOUT"/config/{file}'
        return first(wildcards, input, output) + given

    content = sha256(os.path.join(ROOT, "config", file))
    return parameters | {"options": with_file, name: content}


def run(script):
    """Command of a job without a specification."""
    path = f'"$ADVPRUNE_CHECKOUT"/scripts/{script}.py'
    return f"python {path} {{params.options}} --log {{log:q}}"


def run_spec(script):
    """Command of a job with one."""
    return run(script) + " --spec {params.spec:q}"


def run_torch(script):
    """Command of a job that uses torch."""
    device = "${{ADVPRUNE_DEVICE:-auto}}"
    return run_spec(script) + f" --threads {{params.threads}} --device {device}"


# What is done once, when a run begins


def begin(wildcards):
    """Input function of the jobs that every run begins with: no file, but what is done once.

    It says what is planned, and marks results of other settings as --forcerun does, which concerns
    only those that are asked for. Both must wait until Snakemake collects its jobs: before, it
    knows neither where they will run nor its records.
    """
    if workflow.is_main_process:
        try:
            _begin()
        except Exception as error:
            # to Snakemake it would be a job that cannot be planned, and whose files can stay
            raise SystemExit(f"error: {error}") from error
    return []


@functools.cache
def _begin():
    machine.announce(PROTOCOL, local=not on_cluster(), gpu=gpu())
    feasible.check_disk(PROTOCOL, PATHS, dry=workflow.dryrun)
    _hold_against_cards()
    _ask_again()


def _hold_against_cards():
    results = Results(PROTOCOL)
    file = Path(PATHS.summary(judge.ACCEPTED))

    def recorded(name):
        return workflow.persistence.metadata(IOFile(name)) is not None

    found = judge.judge(results, recorded, judge.read_accepted(file))
    judge.take_over(found.taken)
    if workflow.touch:
        judge.accept(file, found, results, workflow.dag_settings.targets)
    workflow.dag.forcefiles.update(found.again)
    for line in found.lines(accepting=workflow.touch):
        print(f"{CONFIG['preset']}: {line}", file=sys.stderr)


def _ask_again():
    """A released file that could not be had may be there now, and one that was there be gone."""
    for item in PROTOCOL.released.values():
        file = Path(PATHS.fetched.format(key=item.key))
        if file.is_file() and not released.is_there(read_json(file), item):
            workflow.dag.forcefiles.add(str(file))


# What a job needs


def on_cluster():
    """Whether jobs run on other machines; known from when Snakemake collects its jobs.

    A dry-run has an executor of its own, but threads only where it stands for one on a cluster.
    """
    if workflow.dryrun or workflow.touch:
        return workflow.execution_settings.use_threads
    return workflow.executor_plugin is not None and not workflow.local_exec


def gpu(wildcards=None):
    """Resource function: a GPU wherever one may be, on a cluster, and here if there is one.

    Asking for one on a machine without would only keep jobs from running side by side.
    """
    return int(CONFIG["device"] != "cpu" and (on_cluster() or machine.has_gpu()))


def torch_resources(rule):
    """Resources of a job that uses torch."""
    minutes, minutes_without, mem_mb_without = machine.FIRST_ATTEMPT[rule]

    def growing(with_gpu, without):
        return lambda wildcards, attempt: (with_gpu if gpu() else without) * attempt

    return {
        "gpu": gpu,
        "runtime": growing(minutes, minutes_without),
        "mem_mb": growing(8_000, mem_mb_without),
    }


HOOKS = Hooks(PATHS, CONFIG)
if workflow.is_main_process:
    HOOKS.recorder.attach(logger)


# Models and files

DEPTHS = priorities(PROTOCOL.models)
# what all models wait for, and what waits for them
FIRST = 2 * max(DEPTHS.values())


def model(wildcards):
    """The model that a job belongs to."""
    w = wildcards
    return PROTOCOL.grid.find(w.dataset, w.arch, w.method, w.target, int(w.seed))


def depth(step):
    """Priority function: depth first, so that rows are finished one after the other."""
    return lambda wildcards: DEPTHS[model(wildcards)] + STEPS.index(step)


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


def there(model):
    """Whether a model's file is there; of released ones it is known once all were fetched."""
    if model not in PROTOCOL.released:
        return True
    found = read_json(checkpoints.released.get().output.out)
    return found[PROTOCOL.released[model].key]["available"]


def source(wildcards):
    """Input function: the file of a net that was trained elsewhere."""
    found = model(wildcards)
    return PROTOCOL.source(found) if there(found) else []


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
    """Input function: a file of every model of one dataset and net.

    Of those that cannot be had there is a row, and nothing else.
    """
    pattern, without = PATHS.of_model(name), PATHS.of_model("unavailable.json")
    rows = name == PATHS.finding("evaluations")
    return lambda w: [
        (pattern if there(m) else without).format(**m.wildcards)
        for m in PROTOCOL.grid.of(w.dataset, w.arch)
        if rows or there(m)
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
ALL_OVERLAPS = sorted(
    {
        PATHS.overlap.format(**m.wildcards)
        for m in PROTOCOL.models
        if m.structure != "none"
    }
)


def measured(files):
    """Input function: files about measured models; none where no model can be had."""
    return lambda w: files if any(there(m) for m in PROTOCOL.models) else []
