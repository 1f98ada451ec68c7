"""Everything outside of the configuration that a run needs, looked at before any job."""

import shutil
import sys
from pathlib import Path

from advprune.base.errors import UserError
from advprune.plan import external, extra, released
from advprune.plan.feasible import data_root, disk
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol


def check(protocol: Protocol, paths: Layout) -> None:
    """Refuse, as a UserError of one line, files that cannot be used."""
    data_root.check(protocol, paths)
    nets = {m: protocol.net(e["dataset"], e["arch"]) for m, e in protocol.external.items()}
    external.check_files(protocol.external, nets)
    released.check_root(protocol.config)
    extra.check_files(protocol.config)


def check_disk(protocol: Protocol, paths: Layout, dry: bool) -> None:
    """Refuse, as a UserError, a disk on which not even the evaluated nets fit.

    One on which the run may not fit is warned of, on standard error; where nothing will run (`dry`)
    every disk is.
    """
    place = Path(paths.root).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    try:
        warning = disk.check(disk.estimate(protocol), disk.present(Path(paths.root)), free)
    except UserError as error:
        if not dry:
            raise
        warning = str(error)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
