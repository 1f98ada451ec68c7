"""Compare the weights that the pruned nets of one dataset and net have left, target by target."""

import csv
from pathlib import Path
from typing import Any

from advprune.base.files import atomic, read_json
from advprune.evaluation.overlap import COLUMNS, PAIR, kept, overlap, pairs, sizes
from advprune.jobs import cli
from advprune.models.checkpoint import load_checkpoint
from advprune.plan.paths import model_folder

TARGET = ("dataset", "arch", "structure", "sparsity")


def main() -> None:
    """Write a row per pair of models; those without a saved net are in none."""
    args = cli.parser(__doc__, "evaluations", "out").parse_args()
    cli.open_log(args.log)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for evaluation in read_json(args.evaluations):
        model = evaluation["model"]
        if model["structure"] != "none":
            groups.setdefault(tuple(model[key] for key in TARGET), []).append(model)
    place = args.evaluations.parent
    rows = [row for _, models in sorted(groups.items()) for row in _group(place, models)]
    with atomic(args.out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _group(place: Path, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one target; its nets are held as bits, an eighth of a byte a weight."""
    there, bits, size = [], [], {}
    for model in sorted(models, key=lambda m: (m["method"], m["seed"])):
        folder = model_folder(place, model)
        if folder is None or not (folder / "checkpoint.safetensors").is_file():
            cli.log.warning("%s, seed %s: no saved net", model["method"], model["seed"])
            continue
        net = load_checkpoint(folder / "checkpoint.safetensors").net
        there.append(model)
        bits.append(kept(net))
        size = sizes(net)
    rows = []
    for i, j in pairs(there):
        one, other = there[i], there[j]
        names = (one["method"], one["seed"], other["method"], other["seed"])
        row = {key: one[key] for key in TARGET} | dict(zip(PAIR, names, strict=True))
        rows.append(row | overlap(bits[i], bits[j], size))
    return rows


if __name__ == "__main__":
    cli.run(main)
