"""Working copies of the repository in which tests run the whole workflow on a few digits."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from helpers import warm

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("workflow", "rules", "envs", "config", "scripts")


@functools.cache
def tracked(*folders: str) -> list[Path]:
    """Files of the repository in these folders.

    A user's own files and results are none of them. Where git does not answer, as in a tarball,
    there is nothing to tell them by, and all are taken but Python's caches.
    """
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *folders]
    try:
        known = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        known = b""
    paths = [ROOT / os.fsdecode(name) for name in known.split(b"\0") if name]
    if not paths:
        found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
        paths = [path for path in found if "__pycache__" not in path.parts]
    return sorted(path for path in paths if path.is_file())


def shipped_methods() -> list[str]:
    """Keys of the repository's methods, without one that a user is writing."""
    return [path.stem for path in tracked("config/methods")]


class Checkout:
    """One working copy and the means to run Snakemake in it."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder = folder
        self.take_code()
        self.configure(config)

    @classmethod
    def existing(cls, folder: Path) -> "Checkout":
        """A copy that is there already, as it is."""
        checkout = object.__new__(cls)
        checkout.folder = folder
        return checkout

    def take_code(self) -> None:
        """Make the copy's code and configuration those of the repository, as at first."""
        for part in PARTS:
            shutil.rmtree(self.folder / part, ignore_errors=True)
        for path in tracked(*PARTS):
            copy = self.folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)

    def configure(self, config: dict) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def snakemake(
        self, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        """Run it; jobs start quickly unless they are to have an environment of their own."""
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "tiny.yaml"]
        if environment is None and "--cores" in arguments:
            environment = warm.environment()
        variables = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | (environment or {})
        done = subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        return done

    def planned(self) -> set[tuple[str, str]]:
        """(rule, output) for every output that a run would make anew."""
        out = self.snakemake("--summary").stdout
        table = [line.split("\t") for line in out.splitlines() if "\t" in line]
        head, rows = table[0], table[1:]
        rule, plan, name = (head.index(k) for k in ("rule", "plan", "output_file"))
        return {(row[rule], row[name]) for row in rows if "no update" not in row[plan]}

    def pretend(self) -> None:
        """Record every output as made by the present code, without running anything.

        Plans depend on what Snakemake recorded about the outputs, not on what is in them.
        """
        for _, name in self.planned():
            path = self.folder / name
            if name.endswith(("/curves", "/figures")):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        self.snakemake("--touch", "--forceall", "--cores", "1", "--quiet", "all")

    def copy(self, folder: Path) -> "Checkout":
        """This checkout with its results and Snakemake's records, in another place."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout.existing(folder)

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def change(self, path: str) -> None:
        """Add a line that does something, where the file is code; a comment elsewhere."""
        more = {".py": "CHANGED = True", ".css": "/* */"}.get(Path(path).suffix, "# a comment")
        self.append(path, f"\n{more}\n")

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(text)


def every_method_config() -> dict:
    """The tiny run with every method of the repository, in every structure that it has."""
    config = tiny_config()
    config["grid"][0]["methods"] = shipped_methods()
    return config


def tiny_config() -> dict:
    """All kinds of method on a few digits; a radius at which little survives keeps it quick."""
    phase = {"batch": 16, "lr": 0.05, "schedule": "constant"}
    return {
        "preset": "tiny",
        "seeds": [0],
        "device": "cpu",
        "threads": 1,
        "datasets": {
            "digits": {
                "eps": "1/2",
                "training_attack": {"step": "1/8", "steps": 1},
                "limits": {"train": 64, "val": 16, "test": 10},
            }
        },
        "archs": {"resnet18": {"width": 4}},
        "budget": {  # two epochs each for pretraining and a search
            "epochs": 6,
            "shares": {"pretrain": 0.34, "prune": 0.34},
            "recipes": {p: phase for p in ("pretrain", "prune", "finetune", "train")},
        },
        "evaluation": {
            "autoattack": {"version": "standard", "shard": 6, "batch": 6},
            "hofmn": {
                "trials": 2,
                "tune_steps": 3,
                "tune_images": 8,
                "steps": 5,
                "shard": 6,
                "batch": 6,
            },
        },
        "grid": [
            {
                "datasets": ["digits"],
                "archs": ["resnet18"],
                "methods": [
                    "dense",
                    {"lwm": ["filters"]},
                    "hydra",
                    {"radmm": ["unstructured"]},
                    "li20",
                    "flyingbird",
                ],
                "unstructured": [0.8],
                "structured": [0.5],
            }
        ],
    }
