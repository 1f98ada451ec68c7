"""Write the costs of all models as one table."""

from pathlib import Path

from advprune.base.files import read_json
from advprune.jobs import cli
from advprune.report import costs
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--costs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    write_csv(costs.table([row for path in args.costs for row in read_json(path)]), args.out)


if __name__ == "__main__":
    cli.run(main)
