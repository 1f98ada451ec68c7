"""Write one kind of finding about all models as a table."""

from advprune.base.files import read_json
from advprune.base.record import from_json
from advprune.jobs import cli
from advprune.plan.specs import TableSpec
from advprune.report.findings import TABLES
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__, "out", lists="findings")
    cli.add_spec(parser)
    args = parser.parse_args()
    cli.open_log(args.log)
    models = [model for path in args.findings for model in read_json(path)]
    write_csv(TABLES[from_json(TableSpec, args.spec).kind](models), args.out)


if __name__ == "__main__":
    cli.run(main)
