"""The command `advprune` of a checkout, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.checkout import ROOT


def advprune(*arguments, root: Path = ROOT, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run the command with the library of the checkout `root`, whatever may be installed."""
    variables = os.environ | {"PYTHONPATH": str(root / "scripts"), "COLUMNS": "100"}
    command = [sys.executable, "-m", "advprune.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd or root, env=variables, capture_output=True, text=True, check=False
    )
