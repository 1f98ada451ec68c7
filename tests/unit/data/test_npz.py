"""Files of extra images: what is refused, in one line, and what is read."""

import zipfile

import numpy as np
import pytest

from advprune.base.errors import UserError
from advprune.data import npz
from helpers.extra import write

SHAPE = (1, 8, 8)
FLAT = np.zeros((20, 64), dtype=np.uint8)
COLOURED = np.zeros((20, 8, 8, 3), dtype=np.uint8)


def test_images_and_labels_come_back_as_they_were_written(tmp_path):
    stored = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)
    labels = np.array([3, 0, 9, 1, 1, 2, 5], dtype=np.uint8)
    path = write(tmp_path / "extra.npz", 7, image=stored, label=labels)
    assert npz.check(path, SHAPE, 10) == 7
    images, found = npz.read(path)
    assert np.array_equal(images, stored) and images.dtype == np.uint8
    assert np.array_equal(found, labels) and found.dtype == np.int64


def test_other_arrays_and_compression_do_no_harm(tmp_path):
    path = tmp_path / "extra.npz"
    images, labels = np.zeros((4, 8, 8, 1), dtype=np.uint8), np.arange(4)
    np.savez_compressed(path, image=images, label=labels, confidence=np.ones(4))
    assert npz.check(path, SHAPE, 10) == 4
    assert np.array_equal(npz.read(path)[1], labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, r"lacks 'image' \(it has: label\)"),
        ({"label": None}, r"lacks 'label' \(it has: image\)"),
        ({"image": FLAT}, r"image is uint8 \[20, 64\], not uint8 \['N', 8, 8, 1\]"),
        ({"image": COLOURED}, r"image is uint8 \[20, 8, 8, 3\], not uint8"),
        ({"image": np.zeros((20, 8, 8, 1))}, r"image is float64 \[20, 8, 8, 1\], not uint8"),
        ({"image": np.zeros((0, 8, 8, 1), np.uint8), "label": np.arange(0)}, r"image is .*\[0, 8"),
        ({"label": np.arange(19) % 10}, r"label is int64 \[19\], not one .* each of 20 images"),
        ({"label": np.eye(20, dtype=int)}, r"label is int64 \[20, 20\], not one"),
        ({"label": np.zeros(20)}, r"label is float64 \[20\], not one whole number"),
        ({"label": np.arange(20)}, r"labels 0\.\.19 are outside 0\.\.9"),
        ({"label": np.arange(20) % 10 - 1}, r"labels -1\.\.8 are outside 0\.\.9"),
        ({"label": np.array([None] * 20)}, r"label is object \[20\], not one whole number"),
    ],
)
def test_other_content_is_refused_in_one_line(tmp_path, changes, message):
    path = write(tmp_path / "extra.npz", **changes)
    with pytest.raises(UserError, match=message) as error:
        npz.check(path, SHAPE, 10)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_what_is_no_npz_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "extra.npz"
    with pytest.raises(UserError, match=r"extra\.npz: no such file"):
        npz.check(path, SHAPE, 10)
    path.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"damaged or not an \.npz file"):
        npz.check(path, SHAPE, 10)
    path.write_bytes(write(tmp_path / "whole.npz").read_bytes()[:-300])
    with pytest.raises(UserError, match=r"damaged or not an \.npz file"):
        npz.check(path, SHAPE, 10)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("image.npy", b"no array")
        file.writestr("label.npy", b"no array")
    with pytest.raises(UserError, match=r"damaged or not an \.npz file"):
        npz.check(path, SHAPE, 10)


def test_a_check_reads_no_image(tmp_path):
    """Gigabytes are judged by their header: here nothing else of them is there."""
    path, cut = write(tmp_path / "whole.npz"), tmp_path / "cut.npz"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(cut, "w") as file:
        file.writestr("image.npy", whole.read("image.npy")[:128])
        file.writestr("label.npy", whole.read("label.npy"))
    assert npz.check(cut, SHAPE, 10) == 20
    with pytest.raises(UserError, match="damaged"):
        npz.read(cut)
