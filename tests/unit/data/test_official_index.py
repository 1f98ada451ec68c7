"""Every test image knows which image of the official test set it is."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from advprune.base.errors import UserError
from advprune.data.dataset import TestData as Images
from advprune.data.prepare import from_arrays, prepare
from advprune.data.specs import Spec
from advprune.data.tensorfile import save_tensors

SPEC = Spec("made", (1, 4, 4), 10, train=40, val=10, test=30, pad=0, flip=False)


def arrays(n):
    """Images [n, 1, 4, 4] whose first pixel is their number, labels 0..9 in turn."""
    images = np.zeros((n, 1, 4, 4), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    images[:, 0, 1, 1] = np.random.default_rng(0).integers(0, 256, n)
    return images, np.arange(n) % 10


def test_it_is_the_place_in_the_official_file():
    x, y = arrays(50)
    _, test = from_arrays(SPEC, x, y, x[:30], y[:30], limits={"test": 12})
    assert test.official_index.dtype == torch.int64 and len(test.official_index) == 12
    assert test.test.images[:, 0, 0, 0].tolist() == test.official_index.tolist()
    assert test.official_index.tolist() != list(range(12))  # the order is not the official one


def test_a_limit_leaves_the_indexes_of_the_first():
    x, y = arrays(50)
    _, whole = from_arrays(SPEC, x, y, x[:30], y[:30])
    _, few = from_arrays(SPEC, x, y, x[:30], y[:30], limits={"test": 7})
    assert few.official_index.tolist() == whole.official_index[:7].tolist()
    assert sorted(whole.official_index.tolist()) == list(range(30))


def test_a_source_may_number_its_test_images_itself():
    x, y = arrays(50)
    numbers = np.arange(30) * 3 + 100
    _, test = from_arrays(SPEC, x, y, x[:30], y[:30], numbers)
    assert test.official_index.tolist() == [3 * i + 100 for i in test.test.images[:, 0, 0, 0]]


@pytest.mark.parametrize("numbers", [[0] * 30, list(range(29)), [-1, *range(29)]])
def test_numbers_that_name_no_images_are_refused(numbers):
    x, y = arrays(50)
    with pytest.raises(UserError, match="made: official indexes are not"):
        from_arrays(SPEC, x, y, x[:30], y[:30], np.array(numbers))


def test_of_digits_it_is_the_place_in_scikit_learns_arrays(tmp_path):
    _, test = prepare("digits", data_root=None, cache=tmp_path, limits={"test": 40})
    test.save(tmp_path / "test.safetensors")
    read, raw = Images.load(tmp_path / "test.safetensors"), load_digits()
    theirs = np.round(raw.images[read.official_index.numpy()] * 255 / 16).astype(np.uint8)
    assert np.array_equal(read.test.images[:, 0].numpy(), theirs)
    assert read.test.labels.tolist() == raw.target[read.official_index.numpy()].tolist()


def test_a_file_without_them_is_refused(tmp_path):
    path = tmp_path / "test.safetensors"
    split = {"test/images": torch.zeros(3, 1, 4, 4, dtype=torch.uint8)}
    split["test/labels"] = torch.zeros(3, dtype=torch.int64)
    header = {"name": "made", "classes": 10}
    save_tensors(path, "test-data-1", split, header)
    with pytest.raises(UserError, match="test-data-1"):
        Images.load(path)
    save_tensors(path, "test-data-2", split, header)
    with pytest.raises(UserError, match="lacks official_index"):
        Images.load(path)
    save_tensors(path, "test-data-2", split | {"official_index": torch.arange(2)}, header)
    with pytest.raises(UserError, match="not one official index"):
        Images.load(path)
