"""What every script does around its work: errors as one line, a log, no traceback for users."""

import argparse
import errno
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from advprune.base import progress
from advprune.base.errors import UserError

log = logging.getLogger("advprune")

# What a user must mend on the machine, not we in the code.
_OUTSIDE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_PLACES = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG)


class Terminated(BaseException):
    """The process was asked to end: a time limit, a preemption. No error that code may handle."""


def run(main: Callable[[], None]) -> None:
    """Call `main`; a UserError becomes one line on standard error and exit status 2.

    So does a full disk, and a place where nothing can be written.

    SIGTERM, which clusters send before they kill, and Ctrl-C, which reaches a run's jobs too, end
    with status 143 and leave no half-written file; a training that is started again goes on after
    its last finished epoch, AutoAttack after the last of its attacks.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored
        signal.signal(signal.SIGINT, _terminate)
    try:
        main()
    except UserError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno not in _OUTSIDE + _PLACES:
            log.exception("failed")
            raise
        name = f"{error.filename}: " if error.filename else ""
        _refuse(f"{name}{error.strerror}")
    except Terminated:
        log.warning(
            "terminated from outside; finished epochs and attacks are kept for the next attempt"
        )
        sys.exit(128 + signal.SIGTERM)
    except Exception:
        log.exception("failed")
        raise


def _refuse(message: str) -> NoReturn:
    """End with one line and status 2."""
    log.error("%s", message)
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _terminate(number: int, frame: object) -> None:
    """Unwind the stack, so that what cleans up after itself does; once is enough."""
    signal.signal(number, signal.SIG_IGN)
    raise Terminated


def parser(description: str | None, *files: str, lists: str = "") -> argparse.ArgumentParser:
    """Argument parser with the option that all scripts share, and with one for each file.

    `files` name arguments that are one file each, `lists` (words) those that are several.
    """
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--log", type=Path, help="write messages and the progress bar here")
    for name in files:
        result.add_argument(f"--{name}", type=Path, required=True, metavar="FILE")
    for name in lists.split():
        result.add_argument(f"--{name}", type=Path, required=True, nargs="+", metavar="FILE")
    return result


def add_spec(parser: argparse.ArgumentParser) -> None:
    """Add the option for the job's specification."""
    parser.add_argument("--spec", required=True, metavar="JSON", help="what to do (plan/specs.py)")


def open_log(path: Path | None) -> None:
    """Send messages to the log file (standard error without one), and progress bars along."""
    if path is None:
        handler: logging.Handler = logging.StreamHandler()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        if handler.stream is not None:  # None is for handlers that open their file late
            progress.send_to(handler.stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to end
    log.propagate = False
