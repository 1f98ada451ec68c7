"""Compare each image's distance before and after pruning, for all models of one target."""

import json
from pathlib import Path

import pandas as pd

from advprune.attacks.verdicts import read_tables
from advprune.jobs import cli
from advprune.plan.config import fraction
from advprune.report import records, thin_ice
from advprune.report.curves import save
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--spec", type=json.loads, required=True, help="the models, as JSON")
    parser.add_argument("--methods", nargs="*", type=Path, default=[], metavar="YAML")
    parser.add_argument("--models", type=Path, required=True, help="table with a row per model")
    parser.add_argument("--images", type=Path, required=True, help="table with a row per image")
    parser.add_argument("--figures", type=Path, nargs="+", required=True, help="PDF, PNG")
    args = parser.parse_args()
    cli.open_log(args.log)
    spec, eps = args.spec, fraction(args.spec["eps"])

    def table(folder: str) -> pd.DataFrame:
        return read_tables(Path(folder) / f"hofmn-{i}.csv" for i in range(spec["shards"]))

    dense = {seed: table(folder) for seed, folder in spec["dense"].items()}
    pairs = []
    for entry in spec["models"]:
        before = dense[str(entry["model"]["seed"])]["distance"].to_numpy()
        after = table(entry["folder"])["distance"].to_numpy()
        model = entry["model"] | {"same_pretraining": entry["same_pretraining"]}
        pairs.append(thin_ice.Pair(model, before, after, eps))
    labels = next(iter(dense.values()))["label"].to_numpy()
    write_csv(thin_ice.by_model(pairs), args.models)
    write_csv(thin_ice.by_image(pairs, labels), args.images)
    names = records.names(records.load_methods(args.methods))
    group = records.group_of(spec["models"][0]["model"])
    title = f"{group[0]}, {group[1]}: {records.group_title(group)}"
    drawn = thin_ice.figure(pairs, names, title)
    for path in args.figures:
        save(drawn, path)


if __name__ == "__main__":
    cli.run(main)
