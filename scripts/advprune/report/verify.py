"""Whether a results tree still is what its provenance cards say.

Checkpoints, attacks and evaluations have a card beside them with their own hash and their
parents'. What is gathered or counted from them is gathered and counted again.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.base.provenance import sha256
from advprune.plan.paths import target_name
from advprune.report import paired, records, tables

ADVERSARIALS = ".adversarials.safetensors"  # images that were kept, beside their table
hashed = cache(sha256)


def verify(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, problem) of everything below `root`; an empty problem is a file that matches."""
    for dataset in _datasets(root):
        for net in _nets(dataset):
            yield net, _problem(_checkpoint, net, dataset)
        for card in sorted(dataset.glob("*/*/*/seed*/*.card.json")):
            if card.name != "evaluation.card.json":
                yield _of_card(card), _problem(_attack, _of_card(card), card, dataset)
        for evaluation in sorted(dataset.glob("*/*/*/seed*/evaluation.json")):
            yield evaluation, _problem(_evaluation, evaluation)
        for gathered in sorted(dataset.glob("*/evaluations.json")):
            yield gathered, _problem(_gathered, gathered)
    for name, table in (("leaderboard", tables.leaderboard), ("comparison", paired.compare)):
        path = root / f"{name}.csv"
        if path.exists():
            yield path, _problem(_table, path, table)


def _datasets(root: Path) -> list[Path]:
    """Folders of the datasets: those with images, and those of variants with nets alone."""
    found = {path.parent for path in root.glob("*/train.safetensors")}
    return sorted(found | {path.parents[1] for path in root.glob("*/*/net.json")})


def _images(part: str, dataset: Path) -> list[Path]:
    """Files that may hold a dataset's images: its own, else those that it shares with another."""
    own = dataset / f"{part}.safetensors"
    return [own] if own.exists() else sorted(dataset.parent.glob(f"*/{part}.safetensors"))


def _nets(folder: Path) -> list[Path]:
    """Checkpoints of a dataset; hidden ones belong to trainings under way."""
    found = sorted(folder.glob("*/**/*.safetensors"))
    found = [p for p in found if not p.name.endswith(ADVERSARIALS)]
    return [p for p in found if not any(s.startswith(".") for s in p.relative_to(folder).parts)]


def _problem(check: Callable[..., str], path: Path, *more: Any) -> str:
    """Outcome of a check; what cannot be read is a problem like any other."""
    try:
        return check(path, *more)
    except UserError as error:
        return str(error)
    except (KeyError, TypeError, AttributeError) as error:
        return f"it, or its card, is not what it should be (lacks {error})"


def _checkpoint(net: Path, dataset: Path) -> str:
    card = read_json(net.with_suffix(".json"))
    if card["sha256"] != hashed(net):
        return "is not the file that its card describes"
    for role, sum_ in sorted(card["parents"].items()):
        found = _candidates(role, net, dataset)
        # a converted net's source and extra images may lie anywhere; the planning looks after them
        if role not in ("source", "extra") and sum_ not in [
            *map(hashed, found),
            _tidied(role, net),
        ]:
            return f"was made from another {role} than the one that is here"
    return ""


def _candidates(role: str, net: Path, dataset: Path) -> list[Path]:
    """Files that may be meant by a parent's name in a card."""
    if role == "data":
        return _images("train", dataset)
    if role == "pruned":
        return [p for p in [net.with_name("pruned.safetensors")] if p.exists()]
    arch = dataset / net.relative_to(dataset).parts[0]
    # from last epochs, seed0.last.safetensors, nothing is made
    return sorted(arch.glob("pretrained/*/seed*[0-9].safetensors"))


def _tidied(role: str, net: Path) -> str | None:
    """Hash of a net before finetuning that was removed (advprune tidy), as its card has it."""
    card = net.with_name("pruned.json")
    gone = role == "pruned" and not card.with_suffix(".safetensors").exists() and card.exists()
    return read_json(card).get("sha256") if gone else None


def _of_card(card: Path) -> Path:
    """File of an attack's card: a table, or the outcome of the tuning."""
    stem = card.name.removesuffix(".card.json")
    table = card.with_name(f"{stem}.csv")
    return table if table.exists() else card.with_name(f"{stem}.json")


def _attack(path: Path, card_path: Path, dataset: Path) -> str:
    card = read_json(card_path)
    # the tuning sees validation images, the attacks test images
    data = _images("train" if path.name == "hofmn.json" else "test", dataset)
    if not path.exists() or card["sha256"] != hashed(path):
        return "is not the file that its card describes"
    images = path.with_suffix(ADVERSARIALS)
    if "adversarials" in card and images.exists() and card["adversarials"] != hashed(images):
        return "its adversarial images are not those that its card describes"
    parents = {"checkpoint": [path.with_name("checkpoint.safetensors")], "data": data}
    parents["tuned"] = [path.with_name("hofmn.json")]
    for role, sum_ in sorted(card["parents"].items()):
        if sum_ not in [hashed(parent) for parent in parents[role] if parent.exists()]:
            return f"was made from another {role} than the one that is here"
    return ""


def _evaluation(path: Path) -> str:
    card = read_json(path.with_name("evaluation.card.json"))
    if card["sha256"] != hashed(path):
        return "is not the file that its card describes"
    for name, sum_ in sorted(card["parents"].items()):
        parent = path.with_name(name)
        if not parent.exists() or hashed(parent) != sum_:
            return f"was counted from another {name} than the one that is here"
    return ""


def _gathered(path: Path) -> str:
    for evaluation in read_json(path):
        model = evaluation["model"]
        target = target_name(model["structure"], f"{model['sparsity']:g}")
        own = path.parent / model["method"] / target / f"seed{model['seed']}" / "evaluation.json"
        if read_json(own) != evaluation:
            return f"holds something else than {own.relative_to(path.parent)}"
    return ""


def _table(path: Path, table: Any) -> str:
    evaluations = records.load(sorted(path.parent.glob("*/*/evaluations.json")))
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / path.name
        tables.write_csv(table(evaluations), again)
        ours, theirs = again.read_bytes(), path.read_bytes()
    if ours.split(b"\n", 1)[0] != theirs.split(b"\n", 1)[0]:
        return "has other columns than this version writes; snakemake makes it again"
    return "" if ours == theirs else "does not follow from evaluations"
