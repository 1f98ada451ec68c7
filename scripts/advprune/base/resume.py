"""Resume files: what a job has finished, for its next attempt after a kill or a time limit."""

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advprune.base.files import atomic

log = logging.getLogger("advprune")


@dataclass(frozen=True)
class Resume:
    """Resume files of one job in `folder`.

    They are only taken up when `fingerprint` (everything the job depends on) is the same.
    """

    folder: Path
    fingerprint: str

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Replace the resume file `name`: tensors, numbers, texts, and containers of them.

        A job that outlived its killed Snakemake may be doing the same and remove the folder at its
        end: then there is nothing to resume.
        """
        content = io.BytesIO()  # torch would tell of a full disk in its own words
        torch.save(state | {"fingerprint": self.fingerprint}, content)
        with contextlib.suppress(FileNotFoundError), atomic(self._file(name)) as path:
            path.write_bytes(content.getbuffer())

    def load(self, name: str, device: torch.device) -> dict[str, Any] | None:
        """Read what `save` wrote, tensors on `device`; None if there is nothing of this very job.

        A damaged file counts as none: it costs time, never correctness.
        """
        path = self._file(name)
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except Exception:
            log.warning("%s cannot be read; %s starts over", path, name)
            return None
        if state["fingerprint"] != self.fingerprint:
            log.info("%s: the job has changed since it was interrupted; starting over", name)
            return None
        return state
