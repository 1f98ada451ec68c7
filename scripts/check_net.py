"""Take a fresh net through masks, audit and compaction, before anything is trained."""

import json
from pathlib import Path

from advprune.base.files import write_json
from advprune.evaluation.net_check import check_net
from advprune.jobs import cli
from advprune.models.registry import NetSpec
from advprune.pruning import masks as mk


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--spec", type=json.loads, required=True, help="the net, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    found = check_net(NetSpec.from_dict(args.spec), mk.STRUCTURES)
    cli.log.info("%s", found)
    write_json(args.out, found)


if __name__ == "__main__":
    cli.run(main)
