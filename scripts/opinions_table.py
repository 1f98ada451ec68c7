"""Gather the second opinions on all models into one table."""

from pathlib import Path

import pandas as pd

from advprune.base.files import read_json
from advprune.jobs import cli
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--opinions", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    rows = [row for path in args.opinions for model in read_json(path) for row in model]
    first = ["method", "dataset", "arch", "structure", "sparsity", "seed", "attack"]
    frame = pd.DataFrame(rows)
    write_csv(frame[[*first, *(c for c in frame if c not in first)]], args.out)


if __name__ == "__main__":
    cli.run(main)
