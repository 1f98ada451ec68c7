"""Datasets: fixed and fair splits, files that are exact or refused, sources checked by MD5."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from sklearn.datasets import load_digits
from torchvision import datasets

from advprune.base.errors import UserError
from advprune.data.dataset import (
    Dataset,
    channel_moments,
    from_arrays,
    load,
    save,
    stratified_order,
)
from advprune.data.prepare import prepare
from advprune.data.specs import SPECS, spec_of
from advprune.data.torchvision_sets import cifar10, svhn

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Dataset:
    return prepare("digits", data_root=None, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def data_folder() -> Path:
    folder = Path(os.environ.get("ADVPRUNE_DATA", ROOT / "data"))
    if not folder.is_dir():
        pytest.skip("no local data: set ADVPRUNE_DATA to a folder that holds it")
    return folder


def tiny_images(n: int) -> tuple[np.ndarray, ...]:
    """Images [n, 3, 32, 32] whose first pixel is their number, labels 0..9 in turn; twice."""
    images = np.random.default_rng(n).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    labels = np.arange(n) % 10
    return images, labels, images, labels


def write_mat(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> str:
    """Write images as SVHN does (HWCN, 1..10 with 10 for the digit 0); return the file's MD5."""
    path = folder / f"{part}_32x32.mat"
    stored = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": stored})
    return hashlib.md5(path.read_bytes()).hexdigest()


# --- the table


def test_spec_table_is_read_without_torch():
    code = "import sys; from advprune.data import specs; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "scripts")


def test_specs_hold_the_official_sizes_and_forbid_mirrored_digits():
    totals = {name: (s.train + s.val, s.test) for name, s in SPECS.items()}
    assert totals == {"digits": (1400, 397), "cifar10": (50_000, 10_000), "svhn": (73_257, 26_032)}
    assert [name for name, s in SPECS.items() if s.flip] == ["cifar10"]
    assert SPECS["cifar10"].val == SPECS["svhn"].val == 1000
    assert SPECS["cifar10"].pad == SPECS["svhn"].pad == 4  # as in the papers


def test_unknown_dataset_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="unknown dataset 'mnist'; known: cifar10, digits, svhn"):
        spec_of("mnist")


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


def test_digits_splits_have_their_sizes_and_share_no_image(digits):
    spec = SPECS["digits"]
    parts = {"train": digits.train, "val": digits.val, "test": digits.test}
    for name, split in parts.items():
        assert split.images.shape == (getattr(spec, name), *spec.shape)
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        counts = torch.bincount(split.labels, minlength=10) / len(split)
        assert (counts - 0.1).abs().max() < 0.011
    together = torch.cat([s.images for s in parts.values()]).flatten(1).sort(0).values
    raw = torch.from_numpy(load_digits().images).flatten(1).sort(0).values
    assert together.equal((raw * 255 / 16).round().to(torch.uint8))  # each once, levels 0..255


def test_images_keep_their_labels(digits):
    raw = load_digits()
    levels = np.round(raw.images * 255 / 16).astype(np.uint8)
    known = {x.tobytes(): y for x, y in zip(levels, raw.target, strict=True)}
    for split in (digits.train, digits.val, digits.test):
        for image, label in zip(split.images, split.labels, strict=True):
            assert known[image.numpy().tobytes()] == label


def test_split_depends_on_nothing_but_the_data(digits, tmp_path):
    np.random.seed(3)
    again = prepare("digits", data_root=tmp_path, cache=tmp_path)
    assert again.val.images.equal(digits.val.images)
    assert again.test.labels.equal(digits.test.labels)


def test_limits_keep_the_first_images_of_each_split(digits, tmp_path):
    limits = {"train": 200, "test": 50, "val": 10_000}
    small = prepare("digits", data_root=None, cache=tmp_path, limits=limits)
    assert (len(small.train), len(small.val), len(small.test)) == (200, 100, 50)
    assert small.train.images.equal(digits.train.images[:200])
    assert small.test.labels.equal(digits.test.labels[:50])
    assert torch.bincount(small.test.labels).tolist() == [5] * 10
    assert small.mean != digits.mean  # of the images that are left


@pytest.mark.parametrize("limits", [{"train": 0}, {"trian": 10}])
def test_wrong_limits_are_refused(limits, tmp_path):
    with pytest.raises(UserError, match="limits are train, val, test"):
        prepare("digits", data_root=None, cache=tmp_path, limits=limits)


def test_validation_images_come_from_the_training_set_only():
    x, y, _, _ = tiny_images(100)
    dataset = from_arrays("svhn", x, y, x[:40], y[:40], val=20)
    numbers = [s.images[:, 0, 0, 0].tolist() for s in (dataset.train, dataset.val, dataset.test)]
    assert sorted(numbers[0] + numbers[1]) == list(range(100))
    assert sorted(numbers[2]) == list(range(40))
    assert torch.bincount(dataset.val.labels).tolist() == [2] * 10


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
        from_arrays("svhn", *change(x, y), test_x, test_y, val=10)


def test_more_validation_images_than_there_are_is_refused():
    with pytest.raises(UserError, match="cannot take 1000 validation images from 50"):
        from_arrays("svhn", *tiny_images(50))


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


def test_file_gives_back_the_dataset_and_equal_data_gives_equal_bytes(digits, tmp_path):
    save(digits, tmp_path / "a.safetensors")
    back = load(tmp_path / "a.safetensors")
    for part in ("train", "val", "test"):
        assert getattr(back, part).images.equal(getattr(digits, part).images)
        assert getattr(back, part).labels.equal(getattr(digits, part).labels)
    for field in ("name", "classes", "mean", "std"):
        assert getattr(back, field) == getattr(digits, field)
    save(back, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


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
    save(digits, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"d\.safetensors") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "none.safetensors")


# --- the sources


def test_svhn_files_are_read_with_label_ten_as_zero(tmp_path, monkeypatch):
    images, labels, *_ = tiny_images(30)
    listed = dict(datasets.SVHN.split_list)
    for part in ("train", "test"):
        url, name, _ = listed[part]
        # the check itself stays: only the expected sums become those of the tiny files
        listed[part] = [url, name, write_mat(tmp_path, part, images, labels)]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    train_x, train_y, test_x, test_y = svhn(tmp_path, tmp_path / "cache")
    assert np.array_equal(train_x, images)
    assert np.array_equal(test_x, images)
    assert np.array_equal(train_y, labels)
    assert np.array_equal(test_y, labels)


def test_cifar10_files_are_read_in_channel_row_column_order(tmp_path, monkeypatch):
    images, labels, *_ = tiny_images(30)
    content = {
        "data_batch_1": {"data": images.reshape(30, -1), "labels": labels.tolist()},
        "test_batch": {"data": images[:10].reshape(10, -1), "labels": labels[:10].tolist()},
        "batches.meta": {"label_names": list("0123456789")},
    }
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()
    sums = {}
    for name, entry in content.items():
        (folder / name).write_bytes(pickle.dumps(entry))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    # as above: the check stays, with the sums of the tiny files
    for attribute, name in (("train_list", "data_batch_1"), ("test_list", "test_batch")):
        monkeypatch.setattr(datasets.CIFAR10, attribute, [[name, sums[name]]])
    meta = datasets.CIFAR10.meta | {"md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    train_x, train_y, test_x, test_y = cifar10(tmp_path, tmp_path / "cache")
    assert np.array_equal(train_x, images)
    assert np.array_equal(train_y, labels)
    assert np.array_equal(test_x, images[:10])
    assert np.array_equal(test_y, labels[:10])


def test_svhn_files_with_another_checksum_are_refused(tmp_path):
    for part in ("train", "test"):
        write_mat(tmp_path, part, *tiny_images(30)[:2])
    with pytest.raises(UserError, match=r"svhn: data_root .* \(missing, or another checksum\)"):
        prepare("svhn", data_root=tmp_path, cache=tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_missing_local_files_are_refused_in_one_line(name, tmp_path):
    with pytest.raises(UserError, match="data_root") as error:
        prepare(name, data_root=tmp_path, cache=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_failed_download_names_the_way_out(name, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(UserError, match=r"no route to host\); set data_root") as error:
        prepare(name, data_root=None, cache=tmp_path)
    assert "\n" not in str(error.value)


def test_svhn_subset_goes_through_the_same_door(data_folder):
    path = data_folder / "svhn_subset.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} in the data folder")
    raw = np.load(path)
    arrays = [raw[f"{part}_{k}"] for part in ("train", "test") for k in ("x", "y")]
    arrays[0], arrays[2] = (arrays[i].transpose(0, 3, 1, 2) for i in (0, 2))
    dataset = from_arrays("svhn", *arrays, val=100)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (983, 100, 486)
    assert torch.bincount(dataset.val.labels, minlength=10).min() >= 5
    assert all(0.3 < value < 0.6 for value in dataset.mean)


@pytest.mark.slow
def test_cifar10_is_complete_and_has_its_known_moments(data_folder, tmp_path):
    if not (data_folder / "cifar-10-batches-py").is_dir():
        pytest.skip("no cifar-10-batches-py in the data folder")
    dataset = prepare("cifar10", data_root=data_folder, cache=tmp_path)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (49_000, 1_000, 10_000)
    assert torch.bincount(dataset.val.labels).tolist() == [100] * 10
    assert np.allclose(dataset.mean, (0.4914, 0.4822, 0.4465), atol=5e-4)
    assert np.allclose(dataset.std, (0.2470, 0.2435, 0.2616), atol=5e-4)
    assert dataset.train.images.is_contiguous()
