"""Recount a checkpoint's sparsity, parameters and MACs from the saved file."""

from pathlib import Path

from advprune.base.files import write_json
from advprune.evaluation.audit import audit
from advprune.jobs import cli
from advprune.models.checkpoint import load_checkpoint


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--structure", required=True)
    parser.add_argument("--sparsity", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    loaded = load_checkpoint(args.checkpoint)
    size = loaded.spec.size
    image = (loaded.spec.channels, size, size)
    write_json(args.out, audit(loaded.net, image, args.structure, args.sparsity))


if __name__ == "__main__":
    cli.run(main)
