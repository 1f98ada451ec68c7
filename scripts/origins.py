"""Write where the models of a run come from, as a table beside the leaderboard."""

from advprune.jobs import cli
from advprune.report import origins
from advprune.report.tables import write_csv


def main() -> None:
    """Run the job described by the command line."""
    args = cli.parser(__doc__, "out", lists="evaluations").parse_args()
    cli.open_log(args.log)
    write_csv(origins.table(args.evaluations), args.out)


if __name__ == "__main__":
    cli.run(main)
