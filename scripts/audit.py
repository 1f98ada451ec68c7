"""Recount a checkpoint's sparsity, parameters and MACs from the saved file."""

from pathlib import Path

from advprune import cli
from advprune.audit import audit
from advprune.cards import load_checkpoint
from advprune.results import write_json


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
