"""Datasets: fixed and fair splits, files that are exact or refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from advprune.base.errors import UserError
from advprune.data import dataset
from advprune.data.dataset import TrainingData
from advprune.data.order import stratified_order
from advprune.data.prepare import channel_moments, from_arrays, prepare
from advprune.data.specs import spec_of
from helpers.small import tiny_images

SVHN = spec_of("svhn")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return prepare("digits", data_root=None, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def digits(both) -> TrainingData:
    return both[0]


@pytest.fixture(scope="module")
def splits(both):
    """The three splits by name."""
    return {"train": both[0].train, "val": both[0].val, "test": both[1].test}


# --- the order and the splits


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=300))
def test_every_stretch_of_the_order_has_the_shares_of_the_whole(labels):
    labels = np.array(labels)
    order = stratified_order(labels)
    assert sorted(order) == list(range(len(labels)))
    seen = np.cumsum(np.eye(5)[labels[order]], axis=0)
    share = np.bincount(labels, minlength=5) / len(labels)
    expected = np.arange(1, len(labels) + 1)[:, None] * share
    # one image off by rounding within the class, at most one more by the rounding of the others
    assert np.abs(seen - expected).max() <= 2


def test_the_order_is_random_and_pinned_for_good():
    order = stratified_order(np.arange(1000) % 10)
    assert order[:8].tolist() == [350, 538, 797, 871, 882, 245, 626, 134]
    places = np.corrcoef(order, np.arange(1000))[0, 1]
    assert abs(places) < 0.1


def test_digits_splits_have_their_sizes_and_share_no_image(splits):
    spec = spec_of("digits")
    for name, split in splits.items():
        assert split.images.shape == (getattr(spec, name), *spec.shape)
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        counts = torch.bincount(split.labels, minlength=10) / len(split)
        assert (counts - 0.1).abs().max() < 0.011
    together = torch.cat([s.images for s in splits.values()]).flatten(1).sort(0).values
    raw = torch.from_numpy(load_digits().images).flatten(1).sort(0).values
    assert together.equal((raw * 255 / 16).round().to(torch.uint8))  # each once, levels 0..255


def test_images_keep_their_labels(splits):
    raw = load_digits()
    levels = np.round(raw.images * 255 / 16).astype(np.uint8)
    known = {x.tobytes(): y for x, y in zip(levels, raw.target, strict=True)}
    for split in splits.values():
        for image, label in zip(split.images, split.labels, strict=True):
            assert known[image.numpy().tobytes()] == label


def test_split_depends_on_nothing_but_the_data(splits, tmp_path):
    np.random.seed(3)
    again, test = prepare("digits", data_root=tmp_path, cache=tmp_path)
    assert again.val.images.equal(splits["val"].images)
    assert test.test.labels.equal(splits["test"].labels)


def test_limits_keep_the_first_images_of_each_split(digits, splits, tmp_path):
    limits = {"train": 200, "test": 50, "val": 10_000}
    small, test = prepare("digits", data_root=None, cache=tmp_path, limits=limits)
    assert (len(small.train), len(small.val), len(test.test)) == (200, 100, 50)
    assert small.train.images.equal(splits["train"].images[:200])
    assert test.test.labels.equal(splits["test"].labels[:50])
    assert torch.bincount(test.test.labels).tolist() == [5] * 10
    assert small.mean != digits.mean  # of the images that are left


def test_limits_of_one_file_leave_the_other_alone(both, tmp_path):
    for limits, same in (({"test": 30}, 0), ({"train": 200, "val": 50}, 1)):
        limited = prepare("digits", data_root=None, cache=tmp_path, limits=limits)
        saved = []
        for data in (limited[same], both[same]):
            data.save(tmp_path / "data.safetensors")
            saved.append((tmp_path / "data.safetensors").read_bytes())
        assert saved[0] == saved[1]


@pytest.mark.parametrize("limits", [{"train": 0}, {"trian": 10}])
def test_wrong_limits_are_refused(limits, tmp_path):
    with pytest.raises(UserError, match="limits are train, val, test"):
        prepare("digits", data_root=None, cache=tmp_path, limits=limits)


def test_validation_images_come_from_the_training_set_only():
    x, y, _, _ = tiny_images(100)
    data, test = from_arrays(SVHN, x, y, x[:40], y[:40], val=20)
    numbers = [s.images[:, 0, 0, 0].tolist() for s in (data.train, data.val, test.test)]
    assert sorted(numbers[0] + numbers[1]) == list(range(100))
    assert sorted(numbers[2]) == list(range(40))
    assert torch.bincount(data.val.labels).tolist() == [2] * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x.astype(np.float32), y), "expected uint8 images"),
        (lambda x, y: (x.transpose(0, 2, 3, 1), y), "expected uint8 images"),
        (lambda x, y: (x, y[:-1]), "one label each"),
        (lambda x, y: (x, y + 1), "labels 1..10 are outside 0..9"),
        (lambda x, y: (np.zeros_like(x), y), "constant"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    x, y, test_x, test_y = tiny_images(50)
    with pytest.raises(UserError, match=message):
        from_arrays(SVHN, *change(x, y), test_x, test_y, val=10)


def test_more_validation_images_than_there_are_is_refused():
    with pytest.raises(UserError, match="cannot take 1000 validation images from 50"):
        from_arrays(SVHN, *tiny_images(50))


def test_moments_are_those_of_each_channel_in_unit_range():
    images = torch.from_numpy(tiny_images(30)[0])
    mean, std = channel_moments(images)
    unit = images.double() / 255
    torch.testing.assert_close(torch.tensor(mean).double(), unit.mean((0, 2, 3)))
    expected = unit.std((0, 2, 3), correction=0)
    torch.testing.assert_close(torch.tensor(std).double(), expected)


def test_net_fields_describe_the_images(digits):
    fields = digits.net_fields()
    assert (fields["channels"], fields["size"], fields["classes"]) == (1, 8, 10)
    assert fields["mean"] == digits.mean


# --- the file


@pytest.mark.parametrize("which", [0, 1], ids=["training", "test"])
def test_file_gives_back_the_data_and_equal_data_gives_equal_bytes(both, which, tmp_path):
    data = both[which]
    data.save(tmp_path / "a.safetensors")
    back = type(data).load(tmp_path / "a.safetensors")
    for field, value in vars(data).items():
        found = getattr(back, field)
        if isinstance(value, dataset.Split):
            assert found.images.equal(value.images) and found.labels.equal(value.labels)
        elif isinstance(value, torch.Tensor):
            assert found.equal(value) and found.dtype == value.dtype
        else:
            assert found == value and type(found) is type(value)
    back.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_files_are_not_taken_for_each_other(both, tmp_path):
    for data, other in (both, both[::-1]):
        data.save(tmp_path / "d.safetensors")
        with pytest.raises(UserError, match=r"d\.safetensors: not a file of kind"):
            type(other).load(tmp_path / "d.safetensors")


def test_test_images_say_which_nets_fit_them(both):
    assert both[1].image_fields() == {"classes": 10, "channels": 1, "size": 8}
    assert both[0].image_fields() == both[1].image_fields()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: data[:-10] + bytes([data[-10] ^ 1]) + data[-9:],
        lambda data: b"not a tensor file",
        lambda data: b"",
    ],
    ids=["truncated", "header", "tensor", "foreign", "empty"],
)
def test_damaged_file_is_refused_in_one_line(digits, tmp_path, damage):
    path = tmp_path / "d.safetensors"
    digits.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"d\.safetensors") as error:
        TrainingData.load(path)
    assert "\n" not in str(error.value)


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        TrainingData.load(tmp_path / "none.safetensors")
