"""Count one model's per-image verdicts into its evaluation."""

import argparse
from pathlib import Path
from typing import Any

from advprune.attacks.verdicts import read_tables
from advprune.base.errors import UserError
from advprune.base.files import read_json, write_json
from advprune.base.provenance import provenance, sha256
from advprune.base.record import from_json, to_dict
from advprune.evaluation import best_known
from advprune.evaluation.claimed import broken
from advprune.evaluation.evaluate import evaluate, training
from advprune.evaluation.published import beside
from advprune.evaluation.reliability import summarise
from advprune.jobs import cli
from advprune.plan import code
from advprune.plan.specs import EvaluateSpec

# what must agree where evaluations are joined (`evaluation.comparable`), besides the threat
SETTINGS = ("autoattack", "hofmn", "hofmn_tune", "width", "budget", "final_pool", "hidden")


def main() -> None:
    """Run the job described by the command line."""
    files = ("audit", "reliability", "pgd", "checkpoint", "tuned", "out", "card")
    parser = cli.parser(__doc__, *files, lists="autoattack warnings distances")
    cli.add_spec(parser)
    args = parser.parse_args()
    cli.open_log(args.log)
    spec = from_json(EvaluateSpec, args.spec)
    checkpoint = fields(args.checkpoint, "a checkpoint's card", "sha256", "parents")
    pgd = fields(args.pgd, "a check by PGD", "images", "best")
    autoattack, hofmn = read_tables(args.autoattack), read_tables(args.distances)
    record = evaluate(
        to_dict(spec.row),
        fields(args.audit, "an audit", "reasons", "layers"),
        autoattack,
        hofmn,
        [text for path in args.warnings for text in warnings_of(path)] + searched(spec),
        eps=spec.eps,
        classes=spec.classes,
        largest_answer=pgd["best"]["largest_answer"],
    )
    record["training"] = training(checkpoint, pgd)
    record["training"]["marks"] += constant(record["audit"])
    if spec.row.published:
        record["published"] = beside(record, spec.row.published, hofmn["distance"], spec.eps)
        flag(record, record["published"].pop("reasons"))
    flag(record, broken(spec.claims, record) + checkpoint.get("faults", []))
    record["threat"] = {"norm": "Linf", "eps": spec.eps, "eps_text": spec.eps_text}
    record["settings"] = {k: v for k, v in to_dict(spec).items() if k in SETTINGS}
    checked = fields(args.reliability, "a check of reliability", "images", "indicators", "missed")
    record["reliability"] = summarise(autoattack, hofmn, checked, spec.eps)
    found = best_known.nearest(autoattack, hofmn, checked["missed"], spec.eps)
    record["best_known"] = best_known.summarise(found, spec.eps)
    write_json(args.out, record)
    write_json(args.card, card(args, spec, checkpoint))


def constant(audit: dict[str, Any]) -> list[str]:
    """Say which removed filters still have an output, the same for all images."""
    found = audit.get("constant_filters")
    if not found:
        return []
    return [
        f"{found} of {audit['filters']} filters have no weight but kept scale or shift of their "
        f"BatchNorm, and emit a constant: {100 * audit['sparsity_achieved']:.2f} % emit nothing; "
        "attacks run on a net with the constants folded"
    ]


def flag(record: dict[str, Any], reasons: list[str]) -> None:
    """Add reasons for a flag."""
    if reasons:
        record["status"] = "flagged"
        record["reason"] = "; ".join(filter(None, [record["reason"], *reasons]))


def fields(path: Path, kind: str, *names: str) -> dict[str, Any]:
    """Read a JSON file that must hold a table with these fields, else UserError."""
    content = read_json(path)
    if not isinstance(content, dict) or not set(names) <= content.keys():
        raise UserError(f"{path}: not {kind} (wants {', '.join(names)})")
    return content


def warnings_of(path: Path) -> list[str]:
    """Read what AutoAttack warns of on one shard."""
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(text, str) for text in content):
        raise UserError(f"{path}: not a list of warnings")
    return content


def searched(spec: EvaluateSpec) -> list[str]:
    """Say which attacks did not search in float32."""
    used = {attack.precision for attack in (spec.autoattack, spec.hofmn, spec.hofmn_tune)}
    low = sorted(used - {"fp32"})
    return [f"searched in {name}, adversarials checked in float32" for name in low]


def card(
    args: argparse.Namespace, spec: EvaluateSpec, checkpoint: dict[str, Any]
) -> dict[str, Any]:
    """Provenance of the evaluation: settings, hashes of what was counted, this process."""
    single = [args.checkpoint, args.audit, args.tuned, args.reliability, args.pgd]
    parents = [*single, *args.autoattack, *args.warnings, *args.distances]
    return provenance("numpy", "pandas") | {
        "sha256": sha256(args.out),
        "spec": to_dict(spec),
        "script": "evaluate",
        "code": dict(code.behind("evaluate", spec)),
        "checkpoint": checkpoint["sha256"],
        "data": checkpoint["parents"].get("data"),
        "parents": {path.name: sha256(path) for path in parents},
    }


if __name__ == "__main__":
    cli.run(main)
