"""Download or read a dataset, fix its splits and write them: what is trained with, or the test."""

import json
from pathlib import Path

from advprune.data.prepare import prepare
from advprune.jobs import cli


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--spec", type=json.loads, required=True, help="name and limits, as JSON")
    parser.add_argument("--data-root", type=Path, help="folder with local copies")
    parser.add_argument("--cache", type=Path, required=True, help="where downloads are kept")
    parser.add_argument("--train-out", type=Path, help="file for training and validation images")
    parser.add_argument("--test-out", type=Path, help="file for test images")
    args = parser.parse_args()
    cli.open_log(args.log)
    name, limits = args.spec["name"], args.spec["limits"]
    training, test = prepare(name, data_root=args.data_root, cache=args.cache, limits=limits)
    if args.train_out:
        training.save(args.train_out)
    if args.test_out:
        test.save(args.test_out)


if __name__ == "__main__":
    cli.run(main)
