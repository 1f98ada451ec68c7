"""Fetch a released checkpoint, or take a local copy, and say what arrived."""

from pathlib import Path
from typing import Any

from advprune.base.files import write_json
from advprune.base.provenance import sha256
from advprune.base.record import from_json
from advprune.jobs import cli
from advprune.models.released.arrival import match
from advprune.models.released.download import fetch
from advprune.models.released.kinds import NotAvailableError, whole
from advprune.plan.specs import FetchSpec


def main() -> None:
    """Write what is known of the file; one that cannot be had is an answer, and no error."""
    parser = cli.parser(__doc__, "out")
    cli.add_spec(parser)
    parser.add_argument("--folder", type=Path, required=True, help="where files are, or go")
    parser.add_argument("--local", action="store_true", help="download nothing")
    args = parser.parse_args()
    cli.open_log(args.log)
    spec = from_json(FetchSpec, args.spec)
    path = args.folder / spec.file_name
    found: dict[str, Any] = {"key": spec.key, "file_id": spec.file_id, "path": str(path)}
    try:
        found |= {"available": True} | arrived(spec, path, args.local)
    except NotAvailableError as reason:
        cli.log.warning("not available: %s", reason)
        found |= {"available": False, "reason": str(reason)}
    write_json(args.out, found)


def arrived(spec: FetchSpec, path: Path, local: bool) -> dict[str, Any]:
    """Size, hash and layout of the file, which is fetched unless it is there."""
    if not path.is_file():
        if local:
            raise NotAvailableError(f"released_root has no {spec.file_name}")
        fetch(spec.url.replace("{id}", spec.file_id), path, whole)
    found = whole(path)
    hashed = sha256(path)
    if spec.sha256 and hashed != spec.sha256:
        raise NotAvailableError(
            f"another file than before: its SHA-256 is {hashed[:16]}…, the lock file has "
            f"{spec.sha256[:16]}…; take its line out of the lock file to use the new one"
        )
    recognised = match(found, spec.method, spec.net, spec.sparsity)
    return {
        "sha256": hashed,
        "size": path.stat().st_size,
        "origin": "local copy" if local else "download",
        "layout": recognised.layout,
    }


if __name__ == "__main__":
    cli.run(main)
