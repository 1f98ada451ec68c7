"""Datasets: what is known of them, and their official files, checked by MD5."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from advprune.base.errors import UserError
from advprune.data.prepare import from_arrays, prepare
from advprune.data.sets import cifar10, cifar100, svhn
from advprune.data.specs import known, spec_of
from helpers.small import tiny_images

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data_folder() -> Path:
    folder = Path(os.environ.get("ADVPRUNE_DATA", ROOT / "data"))
    if not folder.is_dir():
        pytest.skip("no local data: set ADVPRUNE_DATA to a folder that holds it")
    return folder


def write_mat(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> str:
    """Write images as SVHN does (HWCN, 1..10 with 10 for the digit 0); return the file's MD5."""
    path = folder / f"{part}_32x32.mat"
    stored = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": stored})
    return hashlib.md5(path.read_bytes()).hexdigest()


# --- the table


def test_what_is_known_of_a_dataset_is_read_without_torch_and_the_readers_libraries():
    code = (
        "import sys; from advprune.data.specs import known, spec_of; list(map(spec_of, known()));"
        " sys.exit(bool({'torch', 'torchvision', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "scripts")


@pytest.mark.parametrize("name", known())
def test_a_dataset_has_the_name_of_its_module(name):
    assert spec_of(name).name == name


def test_specs_hold_the_official_sizes_and_forbid_mirrored_digits():
    specs = {name: spec_of(name) for name in known()}
    totals = {name: (s.train + s.val, s.test) for name, s in specs.items()}
    cifar = (50_000, 10_000)
    assert totals == {
        **{"digits": (1_400, 397), "svhn": (73_257, 26_032)},
        **{"cifar10": cifar, "cifar100": cifar},
    }
    assert [name for name, s in specs.items() if s.flip] == ["cifar10", "cifar100"]
    assert {(s.val, s.pad) for s in specs.values() if s.shape[1] == 32} == {(1000, 4)}


def test_unknown_dataset_is_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"'mnist' \(known: cifar10, cifar100, digits, svhn\)"):
        spec_of("mnist")


# --- the sources


def test_svhn_files_are_read_with_label_ten_as_zero(tmp_path, monkeypatch):
    images, labels, *_ = tiny_images(30)
    listed = dict(datasets.SVHN.split_list)
    for part in ("train", "test"):
        url, name, _ = listed[part]
        # the check itself stays: only the expected sums become those of the tiny files
        listed[part] = [url, name, write_mat(tmp_path, part, images, labels)]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    train_x, train_y, test_x, test_y = svhn.read(tmp_path, tmp_path / "cache")
    assert np.array_equal(train_x, images)
    assert np.array_equal(test_x, images)
    assert np.array_equal(train_y, labels)
    assert np.array_equal(test_y, labels)


def write_cifar(source, folder, monkeypatch, content):
    """Write files as the official ones are, and let `source` expect their checksums.

    The check itself stays: only the expected sums become those of the tiny files.
    """
    place = folder / source.base_folder
    place.mkdir()
    sums = {}
    for name, entry in content.items():
        (place / name).write_bytes(pickle.dumps(entry))
        sums[name] = hashlib.md5((place / name).read_bytes()).hexdigest()
    train, test, meta = content
    monkeypatch.setattr(source, "train_list", [[train, sums[train]]])
    monkeypatch.setattr(source, "test_list", [[test, sums[test]]])
    monkeypatch.setattr(source, "meta", source.meta | {"md5": sums[meta]})


def test_cifar10_files_are_read_in_channel_row_column_order(tmp_path, monkeypatch):
    images, labels, *_ = tiny_images(30)
    content = {
        "data_batch_1": {"data": images.reshape(30, -1), "labels": labels.tolist()},
        "test_batch": {"data": images[:10].reshape(10, -1), "labels": labels[:10].tolist()},
        "batches.meta": {"label_names": list("0123456789")},
    }
    write_cifar(datasets.CIFAR10, tmp_path, monkeypatch, content)
    train_x, train_y, test_x, test_y = cifar10.read(tmp_path, tmp_path / "cache")
    assert np.array_equal(train_x, images)
    assert np.array_equal(train_y, labels)
    assert np.array_equal(test_x, images[:10])
    assert np.array_equal(test_y, labels[:10])


def test_cifar100_files_are_read_with_their_fine_labels(tmp_path, monkeypatch):
    images, coarse, *_ = tiny_images(30)
    fine = 3 * np.arange(30)

    def part(n):
        data = images[:n].reshape(n, -1)
        return {"data": data, "coarse_labels": coarse[:n].tolist(), "fine_labels": list(fine[:n])}

    content = {"train": part(30), "test": part(10), "meta": {"fine_label_names": ["apple"] * 100}}
    write_cifar(datasets.CIFAR100, tmp_path, monkeypatch, content)
    train_x, train_y, test_x, test_y = cifar100.read(tmp_path, tmp_path / "cache")
    assert np.array_equal(train_x, images)
    assert np.array_equal(train_y, fine)
    assert np.array_equal(test_x, images[:10])
    assert np.array_equal(test_y, fine[:10])
    training, test = from_arrays(cifar100.SPEC, train_x, train_y, test_x, test_y, val=5)
    assert training.classes == test.classes == 100 and training.flip


def test_svhn_files_with_another_checksum_are_refused(tmp_path):
    for part in ("train", "test"):
        write_mat(tmp_path, part, *tiny_images(30)[:2])
    with pytest.raises(UserError, match=r"svhn: data_root .* \(missing, or another checksum\)"):
        prepare("svhn", data_root=tmp_path, cache=tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_missing_local_files_are_refused_in_one_line(name, tmp_path):
    with pytest.raises(UserError, match="data_root") as error:
        prepare(name, data_root=tmp_path, cache=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
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
    dataset, test = from_arrays(svhn.SPEC, *arrays, val=100)
    assert (len(dataset.train), len(dataset.val), len(test.test)) == (983, 100, 486)
    assert torch.bincount(dataset.val.labels, minlength=10).min() >= 5
    assert all(0.3 < value < 0.6 for value in dataset.mean)


@pytest.mark.slow
def test_cifar10_is_complete_and_has_its_known_moments(data_folder, tmp_path):
    if not (data_folder / "cifar-10-batches-py").is_dir():
        pytest.skip("no cifar-10-batches-py in the data folder")
    dataset, test = prepare("cifar10", data_root=data_folder, cache=tmp_path)
    assert (len(dataset.train), len(dataset.val), len(test.test)) == (49_000, 1_000, 10_000)
    assert torch.bincount(dataset.val.labels).tolist() == [100] * 10
    assert np.allclose(dataset.mean, (0.4914, 0.4822, 0.4465), atol=5e-4)
    assert np.allclose(dataset.std, (0.2470, 0.2435, 0.2616), atol=5e-4)
    assert dataset.train.images.is_contiguous()
