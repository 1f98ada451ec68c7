"""What happens around a script's work: bad input, and being asked to end."""

import os
import signal
import subprocess
import sys

import pytest

from advprune.base.errors import UserError
from advprune.jobs import cli

ENDS_INSIDE_A_WRITE = """
import os, pathlib, signal, sys
sys.path.insert(0, {scripts!r})
from advprune.jobs import cli
from advprune.base.files import atomic

signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest may be deaf to it

def main():
    cli.open_log(pathlib.Path("job.log"))
    with atomic("result.json") as path:
        path.write_text("half")
        try:
            os.kill(os.getpid(), signal.{name})
        except Exception:
            pass  # a broad handler in the code must not swallow the end
        finally:
            os.kill(os.getpid(), signal.{name})  # SLURM sends it more than once
        path.write_text("whole")

cli.run(main)
"""


@pytest.fixture(autouse=True)
def unhandled():
    """`cli.run` is for processes of their own: give this one its handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def fail(error):
    raise error


def test_a_users_error_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: fail(UserError("no such dataset")))
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: no such dataset\n"


def test_our_own_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_termination_leaves_no_half_written_file(name, tmp_path):
    scripts = os.path.join(os.path.dirname(cli.__file__), os.pardir, os.pardir)
    code = ENDS_INSIDE_A_WRITE.format(scripts=os.path.abspath(scripts), name=name)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["job.log"]
    assert "terminated from outside" in (tmp_path / "job.log").read_text(encoding="utf-8")
    assert not done.stderr
