"""Count one model's per-image verdicts into its evaluation."""

import json
from pathlib import Path

from advprune import cli
from advprune.attacks.verdicts import read_tables
from advprune.config import fraction
from advprune.doubts import summarise
from advprune.evaluation import evaluate
from advprune.results import read_json, write_json


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="the model, as JSON")
    parser.add_argument("--eps", required=True, help="radius as text")
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument("--autoattack", type=Path, nargs="+", required=True)
    parser.add_argument("--warnings", type=Path, nargs="+", required=True)
    parser.add_argument("--hofmn", type=Path, nargs="+", required=True)
    parser.add_argument("--doubts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    autoattack, hofmn = read_tables(args.autoattack), read_tables(args.hofmn)
    record = evaluate(
        args.model,
        read_json(args.audit),
        autoattack,
        hofmn,
        [warning for path in args.warnings for warning in read_json(path)],
        eps=fraction(args.eps),
        classes=args.classes,
    )
    record["threat"] = {"norm": "Linf", "eps": fraction(args.eps), "eps_text": args.eps}
    record["doubts"] = summarise(autoattack, hofmn, read_json(args.doubts), fraction(args.eps))
    write_json(args.out, record)


if __name__ == "__main__":
    cli.run(main)
