"""Jobs of the workflow as copies of a process that has imported other libraries, and none of ours.

Nine tenths of a job on ten images are imports. What a run says is the same: test_killed.py holds
a run of jobs that start as a user's do against one of these, byte by byte.
"""

import contextlib
import functools
import gc
import importlib
import json
import logging
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

CLIENT = Path(__file__).with_name("warm_client.py")
LIBRARIES = ("torch", "torchvision", "pandas", "scipy.stats", "sklearn.datasets", "optuna")
LIBRARIES += ("matplotlib.figure", "rich.table", "statsmodels.api", "altair", "pyarrow.parquet")
# Snakemake gives each job, a single command, to a bash, which reads this first
BASH = """\
python() {{
    case "$1" in
        *.py) exec {client} "$@" ;;
        *) command python "$@" ;;
    esac
}}
"""


@functools.cache
def environment() -> dict[str, str]:
    """Variables with which Snakemake's jobs are such copies; they end with this process."""
    folder = tempfile.TemporaryDirectory(prefix="warm-")
    place, file = (Path(folder.name) / name for name in ("socket", "bash"))
    client = shlex.join([sys.executable, "-I", "-S", str(CLIENT), str(place)])
    file.write_text(BASH.format(client=client), encoding="utf-8")
    server = subprocess.Popen([sys.executable, __file__, str(place)], stdin=subprocess.PIPE)
    while not place.exists():
        assert server.poll() is None
        time.sleep(0.05)
    _kept.append((folder, server))
    return {"BASH_ENV": str(file)}


_kept: list[tuple[tempfile.TemporaryDirectory, subprocess.Popen]] = []


def serve(place: str) -> None:
    """Start jobs for as long as the process that asked for it lives."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # or each job would look through all of it, and so copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(place)
        listening.listen()
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if os.fork() == 0:
                watch(connection)
            connection.close()


def watch(connection: socket.socket) -> None:
    """Run one job and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    job = os.fork()
    if job == 0:
        work(**json.loads(message), files=files)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    connection.send(str(status).encode())
    os._exit(0)


def work(arguments: list[str], folder: str, variables: dict[str, str], files: list[int]) -> None:
    """Be the job: a script with its arguments, folder, variables and standard streams."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = arguments
    sys.path[0] = os.path.dirname(arguments[0])
    if more := variables.get("PYTHONPATH"):  # as Python does at its start
        sys.path[1:1] = more.split(os.pathsep)
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ImportError):
            importlib.import_module("sitecustomize")
    status = 1
    try:
        runpy.run_path(arguments[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # taking down all that was imported would cost more than the job
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
