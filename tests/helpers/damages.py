"""What may be wrong with a file: each writes to `path` what became of the good one `was`."""

import os

import numpy as np
import torch

from advprune.base.files import write_json
from advprune.data.tensorfile import save_tensors
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build


class Code:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return (os.mkdir, ("this-must-never-exist",))


def truncated(path, was):
    path.write_bytes(was.read_bytes()[: was.stat().st_size // 2])


def one_bit(path, was):
    content = bytearray(was.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


def empty(path, was):
    path.write_bytes(b"")


def text(path, was):
    path.write_text("these are not the bytes\n", encoding="utf-8")


def missing(path, was):
    pass


def folder(path, was):
    path.mkdir()


def runs_code(path, was):
    torch.save({"state_dict": Code()}, path)


def dataset_of(name, channels, size, kind="training-data-1", parts=("train", "val"), **header):
    def make(path, was):
        images = np.arange(6 * channels * size * size, dtype=np.uint8)
        split = {
            "images": torch.from_numpy(images.reshape(6, channels, size, size)),
            "labels": torch.arange(6),
        }
        tensors = {f"{p}/{k}": t for p in parts for k, t in split.items()}
        if kind.startswith("test"):
            tensors["official_index"] = torch.arange(6)
        moments = {"mean": [0.5] * channels, "std": [0.2] * channels}
        meta = {"name": name, "classes": 10, "pad": 0, "flip": False} | moments | header
        save_tensors(path, kind, tensors, meta)

    return make


TEST_OF_CIFAR10 = dataset_of("cifar10", 3, 32, kind="test-data-2", parts=("test",))


def without_splits(path, was):
    save_tensors(path, "training-data-1", {"x": torch.ones(1)}, {"name": "digits"})


def net_of(arch="resnet18", width=4, channels=1, size=8, classes=10, **options):
    def make(path, was):
        moments = ((0.5,) * channels, (0.2,) * channels)
        spec = NetSpec(arch, width, classes, channels, size, *moments, **options)
        save_checkpoint(path, build(spec), spec)

    return make


def good_one(name):
    def make(path, was):
        path.write_bytes((was.parent / name).read_bytes())

    return make


def content(value):
    def make(path, was):
        write_json(path, value)

    return make


def lines(change):
    def make(path, was):
        path.write_text(
            "".join(change(was.read_text(encoding="utf-8").splitlines(keepends=True))),
            encoding="utf-8",
        )

    return make


def state(value):
    def make(path, was):
        torch.save(value, path)

    return make
