"""Resume files while another process of the same job is still at work.

A job outlives its Snakemake when that is killed; then its successor runs beside it, and whichever
ends first removes the folder of both.
"""

import shutil
from contextlib import contextmanager

import torch

from advprune.base import resume
from advprune.base.files import atomic
from advprune.base.resume import Resume
from advprune.jobs import job as jobs

CPU = torch.device("cpu")


def test_what_is_saved_is_read_back(tmp_path):
    files = Resume(tmp_path / "state", "job")
    assert files.load("attacks", CPU) is None
    files.save("attacks", {"points": torch.arange(3), "broken_by": ["", "square"]})
    found = files.load("attacks", CPU)
    assert found["points"].equal(torch.arange(3)) and found["broken_by"] == ["", "square"]


def test_a_folder_that_goes_while_a_file_is_written_ends_no_job(monkeypatch, tmp_path):
    @contextmanager
    def raced(path):
        with atomic(path) as temporary:
            yield temporary
            shutil.rmtree(path.parent)

    files = Resume(tmp_path / "state", "job")
    with monkeypatch.context() as patch:
        patch.setattr(resume, "atomic", raced)
        files.save("attacks", {})
    assert not files.folder.exists()
    files.save("attacks", {})
    assert files.load("attacks", CPU) is not None


def test_a_folder_that_is_gone_at_the_end_ends_no_job(tmp_path):
    with jobs.resume_state(tmp_path / "table.csv") as folder:
        assert folder.is_dir()
        shutil.rmtree(folder)
    assert list(tmp_path.iterdir()) == []
