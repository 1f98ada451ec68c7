"""Reading a run's configuration, and refusing what cannot run before anything is built of it.

Pure Python without torch: this runs while the workflow plans. Every complaint is one line.
"""

import contextlib
import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from advprune.base.errors import UserError
from advprune.base.files import write_text
from advprune.base.text import line, short
from advprune.data.specs import known as known_datasets
from advprune.data.specs import spec_of
from advprune.models.names import OPTIONS, known_nets, options_of
from advprune.plan import variants
from advprune.plan.checks import check_config, check_values, expanded

ROOT = Path(__file__).resolve().parents[3]
DEFAULTS: dict[str, Any] = {"device": "auto", "threads": 1, "data_root": None, "overrides": {}}
LONGEST = 300  # letters of a complaint, which may quote a whole table
# what an earlier version had elsewhere
RENAMED = {
    "evaluation": {"doubts": "evaluation.reliability", "opinions": "evaluation.other_attacks"},
    "budget": {p: f"budget.recipes.{p}" for p in ("pretrain", "prune", "finetune", "train")},
}


def fraction(text: str) -> float:
    """Number of a fraction written as text, such as '8/255'."""
    return float(Fraction(text))


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; a missing or damaged one is a UserError."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


@functools.cache
def _validator(schema: str) -> Any:
    content = read_yaml(ROOT / "workflow" / "schemas" / f"{schema}.schema.yaml")
    plain = jsonschema.Draft202012Validator
    # 5.0 is an integer to JSON; to Python, and in a file's name, it is not
    types = plain.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return jsonschema.validators.extend(plain, type_checker=types)(content)


def check(content: Any, schema: str, where: str) -> None:
    """Validate against a schema of the workflow; the first complaint becomes a UserError."""
    error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(content))
    if error is not None:
        place = ".".join(map(str, error.absolute_path)) or "top level"
        is_list = error.validator == "type" and error.validator_value == "array"
        hint = " (a list stands in brackets: [0, 1])" * is_list
        raise UserError(f"{where}: {place}: {short(line(error.message), LONGEST)}{hint}")


def load_config(
    content: dict[str, Any], command_line: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Validate a run's configuration and fill in the defaults.

    `command_line` has the entries that Snakemake was given by --config. It reads the numbers inside
    lists and tables there as texts, `seeds=[0,1]` as two; they become what a file would hold.
    """
    content = _typed(content, command_line or {})
    _check_renamed(content)
    check(content, "config", "config")
    check_values(content)
    config = DEFAULTS | content
    for root in ("data_root", "released_root"):
        if config.get(root) is not None:
            config[root] = expanded(config[root], f"config: {root}")
    config["datasets"] = {n: e | {"eps": str(e["eps"])} for n, e in config["datasets"].items()}
    _check_names(config, "dataset", "dataset", known_datasets())
    _check_names(config, "arch", "architecture", known_nets())
    _check_options(config)
    for i, block in enumerate(config["grid"]):
        for kind in ("datasets", "archs"):
            for name in block[kind]:
                if name not in config[kind]:
                    raise UserError(f"config: grid.{i}: '{name}' is not described under {kind}")
    _check_images(config)
    check_config(config)
    config["grid"] = [_spelled_out(block) for block in config["grid"]]
    return config


def save_config(config: dict[str, Any], path: str | Path) -> None:
    """Write a loaded configuration as YAML beside the results; loading it gives it again."""
    head = "# Written when a run starts: its configuration, with every default filled in.\n"
    write_text(path, head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _typed(content: Any, given: Any) -> Any:
    """Content in which the texts at the places of `given` are read as YAML."""
    if isinstance(content, dict) and isinstance(given, dict):
        return content | {k: _typed(content[k], v) for k, v in given.items() if k in content}
    if isinstance(content, list):
        return [_typed(entry, entry) for entry in content]
    if isinstance(content, str):
        with contextlib.suppress(yaml.YAMLError):
            found = yaml.safe_load(content)
            return found if found is None or isinstance(found, int | float) else content
    return content


def _check_renamed(content: Any) -> None:
    """Say the new name of an entry that an earlier version knew by another."""
    for kind, renamed in RENAMED.items():
        for old, new in renamed.items():
            if isinstance(content.get(kind), dict) and old in content[kind]:
                raise UserError(f"config: {kind}.{old} is now {new}")


def _check_names(config: dict[str, Any], kind: str, word: str, known: list[str]) -> None:
    """Refuse datasets or nets that are not known, and variants with a name that is taken."""
    for name in config[f"{kind}s"]:
        own = variants.base(config, kind, name)
        if own not in known:
            raise UserError(f"config: unknown {word} '{own}' (known: {', '.join(known)})")
        if own != name:
            variants.check_name(name, known, f"config: {kind}s")


def _check_options(config: dict[str, Any]) -> None:
    """Refuse an option that a net does not have."""
    for name, entry in config["archs"].items():
        net = variants.base(config, "arch", name)
        taken = options_of(net)
        for key in OPTIONS:
            if key in entry and key not in taken:
                has = ", ".join(taken) or "none"
                raise UserError(f"config: archs.{name}: {net} has no option {key} (it has: {has})")


def _spelled_out(block: dict[str, Any]) -> dict[str, Any]:
    """A block of the grid with the keys that `methods: all` stands for, in their order.

    These are all methods with a structure for which the block has sparsities. Everything else about
    their YAMLs is checked when they are loaded.
    """
    if block["methods"] != "all":
        return block
    wanted = {"none"}
    wanted |= {"unstructured"} if block.get("unstructured") else set()
    wanted |= {"filters", "channels", "kernels"} if block.get("structured") else set()
    files = sorted((ROOT / "config" / "methods").glob("*.yaml"))
    has = {path.stem: (read_yaml(path) or {}).get("structures", wanted) for path in files}
    return block | {"methods": [key for key, structures in has.items() if wanted & set(structures)]}


def _check_images(config: dict[str, Any]) -> None:
    """Refuse limits and tuning sizes that the dataset cannot give."""
    for name, entry in config["datasets"].items():
        for split, limit in entry.get("limits", {}).items():
            available = getattr(spec_of(variants.base(config, "dataset", name)), split)
            if limit > available:
                raise UserError(
                    f"config: datasets.{name}.limits.{split}: {limit} of {available} images"
                )
        wanted = config["evaluation"]["hofmn"]["tune_images"]
        if wanted > split_size(config, name, "val"):
            raise UserError(
                f"config: evaluation.hofmn.tune_images: {wanted}, but {name} has only "
                f"{split_size(config, name, 'val')} validation images"
            )


def split_size(config: dict[str, Any], dataset: str, split: str) -> int:
    """Images of a split under the run's limits."""
    limits = variants.limits(config, dataset)
    whole: int = getattr(spec_of(variants.base(config, "dataset", dataset)), split)
    return limits.get(split, whole)
