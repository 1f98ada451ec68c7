"""Extra images of a job that trains: read as uint8, checked again, and marked."""

from types import SimpleNamespace

import pytest
import torch

from advprune.base.errors import UserError
from advprune.data import npz
from advprune.data.batches import Extra
from advprune.data.dataset import Split
from advprune.jobs.training_job import extra_images, trainer, training
from helpers.extra import write
from helpers.small import blobs
from helpers.training import THREAT


def job(path, ratio, classes=3):
    """As much of a job as concerns them."""
    return SimpleNamespace(
        spec=SimpleNamespace(extra=ratio),
        args=SimpleNamespace(extra=path),
        data=SimpleNamespace(train=blobs(9), classes=classes),
        device=torch.device("cpu"),
    )


def test_images_stay_uint8_with_channels_first_and_labels_follow(tmp_path):
    path = write(tmp_path / "extra.npz", 7, classes=3)
    extra = extra_images(job(path, 0.25))
    images, labels = npz.read(path)
    assert extra.ratio == 0.25 and extra.split.images.dtype == torch.uint8
    assert torch.equal(extra.split.images, torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    assert torch.equal(extra.split.labels, torch.from_numpy(labels))


def test_without_a_ratio_there_are_none_and_a_ratio_needs_a_file():
    assert extra_images(job(None, 0.0)) is None
    with pytest.raises(UserError, match=r"wants extra images \(0\.5 of a batch\)"):
        extra_images(job(None, 0.5))


def test_a_file_of_other_images_is_refused(tmp_path):
    path = write(tmp_path / "extra.npz", shape=(8, 8, 3))
    with pytest.raises(UserError, match=r"extra\.npz: image is uint8"):
        extra_images(job(path, 0.5))
    path = write(tmp_path / "more.npz", classes=4)
    with pytest.raises(UserError, match=r"labels 0\.\.3 are outside 0\.\.2"):
        extra_images(job(path, 0.5))


def test_a_job_that_trains_nothing_is_not_marked(tmp_path):
    own = job(write(tmp_path / "extra.npz", 7, classes=3), 0.25)
    own.data.val, own.data.pad, own.data.flip = blobs(6), 1, True
    own.spec.threat, own.spec.seed, own.spec.precision = THREAT, 0, "fp32"
    own.fingerprint = lambda: "a"
    loop = trainer(own, tmp_path)
    assert loop.extra.ratio == 0.25 and training(loop)["marks"] == []


def test_the_mark_says_how_many_and_what_share():
    many = Split(torch.zeros(500_000, 0), torch.zeros(500_000))
    text = "trained with 500,000 extra images, half of every batch"
    assert Extra(many, 0.5).mark == text
    assert Extra(many, 0.7).mark == text.replace("half", "70 %")
