"""Hash results again and compare them with their provenance cards; status 1 if any differs."""

import sys
from collections.abc import Sequence
from pathlib import Path

from advprune.base.errors import UserError
from advprune.jobs import cli
from advprune.report.verify import verify


def main(argv: Sequence[str] | None = None) -> None:
    """Name every file that does not match, then say how many do."""
    parser = cli.parser(__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="folders such as results/demo")
    args = parser.parse_args(argv)
    cli.open_log(args.log)
    wrong = 0
    for root in args.results:
        found = list(verify(root))
        if not found:
            raise UserError(f"{root}: no results to verify")
        problems = [(path, problem) for path, problem in found if problem]
        for path, problem in problems:
            print(f"{path}: {problem}")
        print(f"{root}: {len(found) - len(problems)} of {len(found)} files match their origin")
        wrong += len(problems)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    cli.run(main)
