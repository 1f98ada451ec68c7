"""Gather all models' accuracies on corrupted images: one table in long form, one of means."""

from pathlib import Path

import pandas as pd

from advprune.base.files import read_json
from advprune.jobs import cli
from advprune.report.corruptions import means
from advprune.report.records import IDENTITY
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--corruptions", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--means", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    rows = [row for path in args.corruptions for model in read_json(path) for row in model]
    found = ["corruption", "severity", "images", "correct", "accuracy"]
    frame = pd.DataFrame(rows)[[*IDENTITY, *found]]
    write_csv(frame, args.out)
    write_csv(means(frame), args.means)


if __name__ == "__main__":
    cli.run(main)
