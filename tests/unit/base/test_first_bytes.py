"""What a file is, is read off its first bytes and said in words."""

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

from advprune.base.errors import UserError
from advprune.base.first_bytes import recognise


def zipped(*names):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"content")

    return write


def tarred(path):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("model/net.pt"), io.BytesIO())


def arrays(path):
    with path.open("wb") as file:
        np.savez(file, weight=np.ones(3), bias=np.ones(2))


def cut(path):
    zipped("a/data.pkl")(path)
    path.write_bytes(path.read_bytes()[:40])


def bytes_of(content):
    return lambda path: path.write_bytes(content)


def index(path):
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    path.write_text(json.dumps({"metadata": {}, "weight_map": files}), encoding="utf-8")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 44765432\n"
S3 = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'


@pytest.mark.parametrize(
    ("write", "name", "words"),
    [
        (bytes_of(b""), "empty", "empty"),
        (bytes_of(LFS), "lfs", "git lfs pull"),
        (bytes_of(b"<!DOCTYPE html>\n<html><title>Sign in"), "html", "web page"),
        (bytes_of(b"\xef\xbb\xbf\r\n <HTML lang='de'>" + 2000 * "ä".encode()), "html", "web page"),
        (bytes_of(S3), "xml", "XML"),
        (bytes_of(b'{"message": "Not Found"}'), "json", "JSON"),
        (bytes_of(b'{"message": '), "text", "text"),
        (bytes_of("größer\n".encode()), "text", "'größer'"),
        (bytes_of(gzip.compress(b"net")), "other", "gzip"),
        (bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(50)), "other", "HDF5"),
        (bytes_of(bytes(range(200))), "other", "00 01 02"),
        (bytes_of(b"\x80\x04}\x94."), "pickle", "plain pickle"),
        (bytes_of(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), "torch-legacy", "before 1.6"),
        (bytes_of(b"\x02" + bytes(7) + b"{}"), "safetensors", "safetensors"),
        (zipped("net/data.pkl", "net/data/0"), "torch", "torch.save"),
        (zipped("net/data.pkl", "net/constants.pkl", "net/code/x.py"), "torchscript", "Script"),
        (zipped("net.pt", "readme.txt"), "zip", "of net.pt, readme.txt"),
        (cut, "damaged", "damaged"),
        (arrays, "npz", "of weight.npy, bias.npy"),
        (tarred, "tar", "of model/net.pt"),
        (index, "index", "2 other file(s) of model-00001-of-00002.safetensors, model-00002"),
    ],
)
def test_a_file_is_recognised_whatever_its_name_is(tmp_path, write, name, words):
    write(tmp_path / "net.pt")
    found = recognise(tmp_path / "net.pt")
    assert found.name == name and words in found.words and "\n" not in found.words


def test_what_cannot_be_opened_is_one_line(tmp_path):
    for path, message in ((tmp_path / "gone", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(UserError, match=message):
            recognise(path)
