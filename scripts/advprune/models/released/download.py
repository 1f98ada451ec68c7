"""A file from a server that may fail in every way: whole or not at all, and not twice.

`gdown` knows the pages that a Drive answers with in place of a file, and how to go on with a part.
"""

import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import gdown
import requests
from gdown.exceptions import DownloadError, FileURLRetrievalError

from advprune.models.released.kinds import NotAvailableError, told

log = logging.getLogger("advprune")
WAITS = (5.0, 30.0, 120.0)  # seconds before each further attempt
TIMEOUT = 60.0  # seconds without a byte
AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)  # and all errors of the server
UNREACHABLE = "no connection"  # asked once more alone: without a network, 83 files would take hours
IGNORES_RANGES = "byte range"  # gdown, of a server that sends another part than it was asked for


def fetch(
    url: str, target: Path, check: Callable[[Path], object], waits: Sequence[float] = WAITS
) -> None:
    """Download to `target`, which exists afterwards as `check` accepts it, or not at all.

    What cannot be had, or is refused, is `NotAvailableError`. A part of a file stays beside the
    target, for the next attempt, and the next run.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f"{target.name}.arriving")
    arriving.unlink(missing_ok=True)  # unchecked, of a process that was killed
    reason = ""
    for attempt in range(len(waits) + 1):
        if attempt:
            log.warning("%s; trying again in %g s", reason, waits[attempt - 1])
            time.sleep(waits[attempt - 1])
        reason = _once(url, arriving)
        if not reason or (attempt and reason.startswith(UNREACHABLE)):
            break
    if reason:
        raise NotAvailableError(reason)
    try:
        check(arriving)
        arriving.replace(target)
    finally:
        arriving.unlink(missing_ok=True)


def _once(url: str, arriving: Path) -> str:
    """One attempt; empty if the whole file is there, else why it is not and may be yet."""
    try:
        gdown.download(
            url, str(arriving), quiet=True, use_cookies=False, resume=True, timeout=TIMEOUT
        )
    except FileURLRetrievalError as error:
        raise NotAvailableError(f"no file: {told(str(error))}") from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        words = f"the server answers {str(error).partition(' for url')[0]}"
        if status not in AGAIN and status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotAvailableError(words) from None
        return words
    except DownloadError as error:
        if IGNORES_RANGES in str(error):
            _forget(arriving)
        return f"cut off: {' '.join(str(error).split('.')[0].split())}"
    except requests.RequestException as error:
        return f"{UNREACHABLE} ({type(error).__name__})"
    return ""


def _forget(arriving: Path) -> None:
    """Remove the part of a file that a server does not go on with."""
    for part in arriving.parent.glob(f"{arriving.name}*.part"):
        part.unlink()
