"""Whether a results tree still is what its provenance cards say.

Whatever has a card beside it is hashed, and so is what it was made from. What is gathered or
counted from evaluations is gathered and counted again. With a configuration, the settings in the
cards are compared with those that it asks for.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.base.provenance import sha256
from advprune.base.record import to_dict
from advprune.identity.cards import card_of, differences, read
from advprune.identity.judge import ACCEPTED, acceptance, read_accepted
from advprune.identity.results import Result
from advprune.plan.paths import target_name
from advprune.report import origins, paired, records, tables

hashed = cache(sha256)
# by what they are made of: the files evaluations.json
TABLES: dict[str, Callable[[list[Path]], pd.DataFrame]] = {
    "leaderboard": lambda paths: tables.leaderboard(records.load(paths, absent=True)),
    "comparison": lambda paths: paired.compare(records.load(paths)),
    "provenance": origins.table,
}
# parents that may lie anywhere; the planning looks after them
ELSEWHERE = ("source", "extra")
BESIDE = {name: f"{name}.safetensors" for name in ("pruned", "checkpoint", "last")}
COUNTED = ("evaluation.json", "hofmn.json")
BESIDE |= {"tuned": "hofmn.json", "audit": "audit.json"}


def verify(root: Path, asked: Iterable[Result] = ()) -> Iterator[tuple[Path, str]]:
    """Yield (file, problem) of everything below `root`; an empty problem is a file that matches.

    `asked` are the results of the configuration to compare with, their files below
    `results/<preset>`, for which `root` stands.
    """
    settings = dict(_settings(root, asked))
    for path in _judged(root):
        yield path, _problem(_carded, path, root) or settings.get(card_of(path), "")
    for gathered in sorted(root.glob("*/*/evaluations.json")):
        yield gathered, _problem(_gathered, gathered)
    for name, table in TABLES.items():
        path = root / f"{name}.csv"
        if path.exists():
            yield path, _problem(_table, path, table)


def kind(path: Path) -> str:
    """What a file is, in the plural."""
    if path.suffix == ".safetensors":
        return "files of images" if _is_images(path.name) else "nets"
    if path.name.startswith(("autoattack-", "hofmn")):
        return "attacks"
    if path.name == "evaluation.json":
        return "evaluations"
    return "summaries" if path.suffix == ".csv" or path.name == "evaluations.json" else "checks"


def _judged(root: Path) -> list[Path]:
    """Files that have a card or should have one, wherever below the run.

    Hidden ones, and those in folders such as `.checkpoint.state`, belong to jobs under way.
    """
    found = set()
    for path in root.rglob("*"):
        folders = path.relative_to(root).parts[:-1]
        if path.name.startswith(".") or any(f[0] == "." and f.endswith(".state") for f in folders):
            continue
        if path.name.endswith(".card.json"):
            found.add(_of_card(path))
        elif _should_have_card(path):
            found.add(path)
    return sorted(found)


def _should_have_card(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return not _is_images(path.name)
    return path.match("autoattack-*.csv") or path.match("hofmn-*.csv") or path.name in COUNTED


def _is_images(name: str) -> bool:
    """Images, as they are, corrupted or attacked: no net."""
    shown = name.removesuffix(".safetensors")
    return (
        shown in ("train", "test")
        or shown.startswith("corrupted-")
        or shown.endswith(".adversarials")
    )


def _of_card(card: Path) -> Path:
    """File of a card that is not a net's, where it is or should be."""
    stem = card.name.removesuffix(".card.json")
    endings = [".json", ".safetensors"]
    # the tuning is hofmn.json
    endings.insert(0 if stem.startswith(("autoattack-", "hofmn-")) else 2, ".csv")
    files = [card.with_name(stem + ending) for ending in endings]
    return next((file for file in files if file.exists()), files[0])


def _problem(check: Callable[..., str], path: Path, *more: Any) -> str:
    """Outcome of a check; what cannot be read is a problem like any other."""
    try:
        return check(path, *more)
    except (UserError, OSError) as error:
        return str(error)
    except (KeyError, TypeError, AttributeError) as error:
        return f"it, or its card, is not what it should be (lacks {error})"


def _carded(path: Path, root: Path) -> str:
    card = read_json(card_of(path))
    if not path.exists() or card["sha256"] != hashed(path):
        return "is not the file that its card describes"
    images = path.with_suffix(".adversarials.safetensors")
    if "adversarials" in card and images.exists() and card["adversarials"] != hashed(images):
        return "its adversarial images are not those that its card describes"
    made = "counted" if path.name == "evaluation.json" else "made"
    for role, sum_ in sorted(card["parents"].items()):
        found = [_hash(role, file) for file in _candidates(role, path, root)]
        if role not in ELSEWHERE and sum_ not in found:
            return f"was {made} from another {role} than the one that is here"
    return ""


def _hash(role: str, file: Path) -> str | None:
    """Hash of a parent; of a net before finetuning that was tidied away, as its card has it."""
    if file.exists():
        return hashed(file)
    card = card_of(file)
    return read_json(card)["sha256"] if role == "pruned" and card.exists() else None


def _candidates(role: str, path: Path, root: Path) -> list[Path]:
    """Files that may be meant by a parent's name in the card of a file."""
    dataset, arch, *_ = (*path.relative_to(root).parts, "")
    if role == "data":
        # nets are trained, and attacks tuned, on other images than those that are attacked
        trained = kind(path) == "nets" or path.name == "hofmn.json"
        name = f"{'train' if trained else 'test'}.safetensors"
        own = root / dataset / name
        # variants of a dataset share its images
        return [own] if own.exists() else sorted(root.glob(f"*/{name}"))
    if role in ("pretrained", "teacher"):
        # from last epochs, seed0.last.safetensors, nothing is made
        return sorted((root / dataset / arch).glob("pretrained/*/seed*[0-9].safetensors"))
    if role.startswith("corrupted-"):
        return sorted(root.glob(f"*/{role}"))
    return [path.with_name(BESIDE.get(role, role))]


def _settings(root: Path, asked: Iterable[Result]) -> Iterator[tuple[Path, str]]:
    """(card, problem) of those whose settings are neither asked for nor accepted."""
    accepted = read_accepted(root / ACCEPTED)
    for result in asked:
        place = below(root, result.card)
        if (card := read(place)) is None:
            continue
        differ = list(differences(card["spec"], to_dict(result.asked())))
        if differ and accepted.get(result.card) != acceptance(differ):
            more = f" and {len(differ) - 1} more" if len(differ) > 1 else ""
            yield place, f"is of other settings than the configuration's: {differ[0]}{more}"


def below(root: Path, name: str) -> Path:
    """A file of `results/<preset>` where `root` stands for that folder."""
    return root.joinpath(*Path(name).parts[2:])


def _gathered(path: Path) -> str:
    for evaluation in read_json(path):
        model = evaluation["model"]
        target = target_name(model["structure"], f"{model['sparsity']:g}")
        name = "unavailable" if evaluation["status"] == records.NOT_AVAILABLE else "evaluation"
        own = path.parent / model["method"] / target / f"seed{model['seed']}" / f"{name}.json"
        if read_json(own) != evaluation:
            return f"holds something else than {own.relative_to(path.parent)}"
    return ""


def _table(path: Path, table: Callable[[list[Path]], pd.DataFrame]) -> str:
    gathered = sorted(path.parent.glob("*/*/evaluations.json"))
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / path.name
        tables.write_csv(table(gathered), again)
        ours, theirs = again.read_bytes(), path.read_bytes()
    if ours.split(b"\n", 1)[0] != theirs.split(b"\n", 1)[0]:
        return "has other columns than this version writes; snakemake makes it again"
    return "" if ours == theirs else "does not follow from evaluations and cards"
