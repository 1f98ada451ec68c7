"""Convert a net that was trained elsewhere into a checkpoint of ours."""

import json
import time
from pathlib import Path

from advprune.jobs import cli
from advprune.models.checkpoint import provenance, save_checkpoint, sha256
from advprune.models.convert import convert
from advprune.models.registry import NetSpec


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--spec", type=json.loads, required=True, help="the net, as JSON")
    parser.add_argument("--source", type=Path, required=True, help="the file to convert")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    started, spec = time.monotonic(), args.spec
    net_spec = NetSpec.from_dict(spec["net"])
    net = convert(args.source, net_spec, spec["rename"])
    seconds = round(time.monotonic() - started, 1)
    card = provenance(spec=spec, parents={"source": sha256(args.source)}, seconds=seconds)
    save_checkpoint(args.out, net, net_spec, card=card)


if __name__ == "__main__":
    cli.run(main)
