"""Compare each image's distance before and after pruning, for all models of one target."""

from pathlib import Path

import pandas as pd

from advprune.attacks.verdicts import read_tables
from advprune.base.record import from_json, to_dict
from advprune.jobs import cli
from advprune.plan.specs import ThinIceSpec
from advprune.report import records
from advprune.report.figures import thin_ice
from advprune.report.figures.canvas import save
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "models", "images", "pdf", "png", lists="methods")
    cli.add_spec(parser)
    args = parser.parse_args()
    cli.open_log(args.log)
    spec = from_json(ThinIceSpec, args.spec)

    def table(folder: str) -> pd.DataFrame:
        return read_tables(Path(folder) / f"hofmn-{i}.csv" for i in range(spec.shards))

    folders = [*spec.dense.values(), *(entry.folder for entry in spec.models)]
    thin_ice.check_attacks(folders)
    tables = {folder: table(folder) for folder in folders}
    thin_ice.check_images(tables)
    dense = {seed: tables[folder] for seed, folder in spec.dense.items()}
    pairs = []
    for entry in spec.models:
        before = dense[str(entry.row.seed)]["distance"].to_numpy()
        after = tables[entry.folder]["distance"].to_numpy()
        model = to_dict(entry.row) | {"same_pretraining": entry.same_pretraining}
        pairs.append(thin_ice.Pair(model, before, after, spec.eps))
    write_csv(thin_ice.by_model(pairs), args.models)
    write_csv(thin_ice.by_image(pairs, next(iter(dense.values()))), args.images)
    models = [{"model": pair.model} for pair in pairs]
    names = records.names(records.known(records.load_methods(args.methods), models))
    group = records.group_of(to_dict(spec.models[0].row))
    title = records.full_title(group)
    drawn = thin_ice.figure(pairs, names, title)
    for path in (args.pdf, args.png):
        save(drawn, path)


if __name__ == "__main__":
    cli.run(main)
