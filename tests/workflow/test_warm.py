"""Jobs that tests start quickly are what the processes are that they stand for."""

import os
import subprocess
import sys

import pytest

from helpers import warm

pytestmark = pytest.mark.slow
SCRIPT = """\
import os, sys
from pathlib import Path
from beside import WORD

print(__name__, sys.argv, Path.cwd(), Path(__file__).resolve(), os.environ["TOLD"], WORD)
print(sys.stdin.read(), sorted(name for name in os.environ if name.startswith("ADVPRUNE")))
{ending}
"""


@pytest.mark.parametrize(
    "ending",
    ["", "sys.exit(3)", "sys.exit('no')", "1 / 0", "os.kill(os.getpid(), 9)", "os._exit(5)"],
)
def test_a_copy_ends_as_a_process_of_its_own_would(tmp_path, ending):
    folder = tmp_path / "my scripts"
    folder.mkdir()
    (folder / "beside.py").write_text("WORD = 'beside'\n", encoding="utf-8")
    (folder / "job.py").write_text(SCRIPT.format(ending=ending), encoding="utf-8")

    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])

    def ends(**environment):
        done = subprocess.run(
            ["bash", "-c", "set -euo pipefail; python 'my scripts/job.py' --word 'a b'"],
            cwd=tmp_path,
            env=os.environ | {"TOLD": "so", "PATH": path} | environment,
            input="given",
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr.splitlines()[-1:]

    plain = ends()
    assert "kill" in ending or "so beside\ngiven []" in plain[1]  # or before it is written
    assert ends(**warm.environment()) == plain
