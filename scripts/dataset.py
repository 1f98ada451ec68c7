"""Download or read a dataset, fix its splits and write it as one file."""

import json
from pathlib import Path

from advprune.data.dataset import save
from advprune.data.prepare import prepare
from advprune.jobs import cli


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--spec", type=json.loads, required=True, help="name and limits, as JSON")
    parser.add_argument("--data-root", type=Path, help="folder with local copies")
    parser.add_argument("--cache", type=Path, required=True, help="where downloads are kept")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cli.open_log(args.log)
    data = prepare(
        args.spec["name"], data_root=args.data_root, cache=args.cache, limits=args.spec["limits"]
    )
    save(data, args.out)


if __name__ == "__main__":
    cli.run(main)
