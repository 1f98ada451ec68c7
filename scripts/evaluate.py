"""Count one model's per-image verdicts into its evaluation."""

import argparse
import json
from pathlib import Path
from typing import Any

from advprune.attacks.verdicts import read_tables
from advprune.base.errors import UserError
from advprune.base.files import read_json, write_json
from advprune.base.provenance import origin, sha256
from advprune.evaluation.evaluate import evaluate
from advprune.evaluation.reliability import summarise
from advprune.jobs import cli
from advprune.plan.config import fraction


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
    parser.add_argument("--settings", type=json.loads, required=True, help="attacks, as JSON")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the checkpoint's card")
    parser.add_argument("--tuned", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True, help="where the numbers come from")
    args = parser.parse_args()
    cli.open_log(args.log)
    try:
        eps = fraction(args.eps)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"{args.eps}: not a fraction such as 8/255") from None
    checkpoint = fields(args.checkpoint, "a checkpoint's card", "sha256", "parents")
    autoattack, hofmn = read_tables(args.autoattack), read_tables(args.hofmn)
    record = evaluate(
        args.model,
        fields(args.audit, "an audit", "reasons"),
        autoattack,
        hofmn,
        [warning for path in args.warnings for warning in warnings_of(path)]
        + searched(args.settings),
        eps=eps,
        classes=args.classes,
    )
    record["threat"] = {"norm": "Linf", "eps": eps, "eps_text": args.eps}
    found = fields(args.doubts, "doubts", "images", "indicators", "missed")
    record["doubts"] = summarise(autoattack, hofmn, found, eps)
    write_json(args.out, record)
    write_json(args.card, card(args, checkpoint))


def fields(path: Path, kind: str, *names: str) -> dict[str, Any]:
    """Read a JSON file that must hold a table with these fields, else UserError."""
    content = read_json(path)
    if not isinstance(content, dict) or not set(names) <= content.keys():
        raise UserError(f"{path}: not {kind} (wants {', '.join(names)})")
    return content


def warnings_of(path: Path) -> list[str]:
    """Read AutoAttack's doubts about one shard."""
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(text, str) for text in content):
        raise UserError(f"{path}: not a list of warnings")
    return content


def searched(settings: dict[str, dict[str, Any]]) -> list[str]:
    """Say which attacks did not search in float32."""
    low = sorted({attack["precision"] for attack in settings.values() if "precision" in attack})
    return [f"searched in {name}, adversarials checked in float32" for name in low]


def card(args: argparse.Namespace, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Provenance of the evaluation: settings, hashes of what was counted, this process."""
    single = [args.checkpoint, args.audit, args.tuned, args.doubts]
    parents = [*single, *args.autoattack, *args.warnings, *args.hofmn]
    return origin("numpy", "pandas") | {
        "sha256": sha256(args.out),
        "model": args.model,
        "attacks": args.settings,
        "checkpoint": checkpoint["sha256"],
        "data": checkpoint["parents"].get("data"),
        "parents": {path.name: sha256(path) for path in parents},
    }


if __name__ == "__main__":
    cli.run(main)
