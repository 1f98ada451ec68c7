"""Everything outside of the configuration that a run needs, looked at before any job."""

import shutil
import sys
from pathlib import Path

from advprune.plan import external, extra
from advprune.plan.feasible import data_root, disk
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol


def check(protocol: Protocol, paths: Layout) -> None:
    """Refuse, as a UserError of one line, files that cannot be used and a disk that is too small.

    A disk on which the run may not fit is warned of, on standard error.
    """
    external.check_files(protocol.external)
    extra.check_files(protocol.config)
    data_root.check(protocol, paths)
    place = Path(paths.root).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if warning := disk.check(disk.estimate(protocol), disk.present(Path(paths.root)), free):
        print(f"warning: {warning}", file=sys.stderr)
