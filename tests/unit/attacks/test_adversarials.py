"""Adversarial images are kept as the attack left them, with what their table says."""

import pytest
import torch

from advprune.attacks import adversarials
from advprune.base.errors import UserError
from advprune.base.record import to_dict
from helpers.configs import changed, jobs

TABLE = {
    "index": range(3, 6),
    "official_index": [40, 2, 17],
    "label": [1, 0, 1],
    "robust": [True, False, False],
    "broken_by": ["", "square", "clean"],
}


def test_they_come_back_to_the_last_bit(tmp_path):
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    said = adversarials.keep(tmp_path / "a.safetensors", TABLE, images, "digits")
    adversarials.keep(tmp_path / "b.safetensors", TABLE, images, "digits")
    found, columns = adversarials.load(tmp_path / "a.safetensors")
    assert torch.equal(found, images) and found.dtype == torch.float32
    assert sorted(columns) == ["index", "label", "official_index", "robust"]
    assert columns["official_index"].tolist() == [40, 2, 17]
    assert columns["robust"].tolist() == [True, False, False]
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert list(said) == ["adversarials"] and len(said["adversarials"]) == 64


def test_nothing_is_written_unless_asked_for():
    assert adversarials.keep(None, TABLE, torch.zeros(3, 1, 4, 4), "digits") == {}


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    adversarials.save(path, TABLE, torch.zeros(3, 1, 4, 4), "digits")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        adversarials.load(path)


def test_keeping_none_leaves_every_job_as_it_was():
    """Absent or false: the same specifications; true changes the attacks and their count alone."""
    key = "evaluation.keep_adversarials"
    absent, off, on = (
        {place: to_dict(spec) for place, spec in jobs(config).items()}
        for config in (changed("seeds", [0]), changed(key, False), changed(key, True))
    )
    assert absent == off
    assert {k[0] for k in on if on[k] != off[k]} == {"autoattack", "hofmn", "evaluate"}
