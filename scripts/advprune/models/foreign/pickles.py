"""What a pickle of torch.save holds, without running any of it, and without torch.

Every class or function that a pickle names is replaced by a stand-in of this module, so reading
builds descriptions of tensors and nothing else. What has no stand-in would be code: it is noted.
"""

import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

from advprune.base.errors import UserError

NEWEST = 3  # of pickle's protocols that torch reads without running code
UNREAD = (
    "torch does not read its pickle safely; save the net's state_dict() again, without another "
    "pickle_protocol"
)
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "UntypedStorage": "bytes",
}


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in a file: its type ("float32"), its shape, and where its numbers lie there.

    Two with the same `place` are one tensor under two names.
    """

    dtype: str
    shape: tuple[int, ...]
    place: tuple[Any, ...] = ()

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


class Value:
    """Stand-in for an object that is no tensor: takes whatever a pickle does to it."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Value":
        """Take any arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.given = args

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Take an element of a list."""

    def extend(self, values: Any) -> None:
        """Take elements of a list."""

    def add(self, value: Any) -> None:
        """Take an element of a set."""


class Array(Value):
    """Stand-in for a NumPy array."""

    def info(self) -> TensorInfo | None:
        """The array as a tensor; None if its state is not that of one."""
        try:
            _, shape, dtype, *_ = self.state
            kind = {"f": "float", "i": "int", "u": "uint", "b": "bool"}[dtype.given[0][0]]
            bits = "" if kind == "bool" else str(8 * int(dtype.given[0][1:]))
            return TensorInfo(kind + bits, tuple(shape), ("array", id(self)))
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            return None


class Mapping(dict[Any, Any]):
    """Stand-in for OrderedDict, Counter and the like; their attributes are of no interest."""

    def __setstate__(self, state: Any) -> None:
        pass


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: Any


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> TensorInfo:
    """Of `_rebuild_tensor_v2`, and of `_v3`, which tells the type of new kinds of numbers."""
    known = storage.dtype != "bytes" or len(more) < 3
    dtype = storage.dtype if known else str(more[2])
    return TensorInfo(dtype, tuple(size), (storage.key, offset, tuple(stride)))


def _sparse(layout: Any, data: Any) -> TensorInfo:
    """The values lie behind one tensor of indices (COO) or two (compressed rows or columns)."""
    values = data[1] if isinstance(data[2], tuple | Size) else data[2]
    size = data[2] if isinstance(data[2], tuple | Size) else data[3]
    return TensorInfo(values.dtype, tuple(size), ("sparse", *values.place))


def _meta(dtype: Any, size: Any, *_more: Any) -> TensorInfo:
    return TensorInfo("meta", tuple(size))


def _subclass(function: Callable[..., Any], _kind: Any, args: Any, _state: Any) -> Any:
    return function(*args)


class Size(tuple[int, ...]):
    """Stand-in for torch.Size."""

    def __setstate__(self, state: Any) -> None:
        """Take no attributes: without this a pickle could set those of the class."""


def _first(value: Any, *_more: Any) -> Any:
    return value


def _bytes(text: str, *_encoding: Any) -> bytes:
    """Bytes, which Python 3 writes as a text for older protocols."""
    return text.encode("latin-1")


# Plain values that training scripts keep beside their nets, and that torch does not read by itself:
# a command line's arguments, paths.
VALUES = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "pathlib.PureWindowsPath",
)
# NumPy's scalars and arrays, before NumPy 2 and since
NUMPY = (
    *("numpy.dtype", "numpy.ndarray"),
    *("numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct"),
    *("numpy._core.multiarray.scalar", "numpy._core.multiarray._reconstruct"),
)
# what torch reads as data, NumPy's scalars and arrays, and plain values
STAND_INS: dict[str, Any] = {
    "collections.OrderedDict": Mapping,
    "collections.Counter": Mapping,
    "torch.Size": Size,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_qtensor": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_device_tensor_from_numpy": _first,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "_codecs.encode": _bytes,
    "builtins.bytearray": Value,
    "builtins.set": Value,
    "builtins.complex": Value,
} | dict.fromkeys(
    (
        "torch.Tensor",
        "torch.nn.parameter.Parameter",
        "torch.device",
        "torch.serialization._get_layout",
        "torch.per_tensor_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_affine",
        "torch.per_channel_symmetric",
        *NUMPY,
        *VALUES,
    ),
    Value,
)
STAND_INS |= {name: Array for name in NUMPY if name.endswith("._reconstruct")}
_DTYPE = re.compile(r"(b?float|q?u?int|complex|bool|bits)[0-9a-z_]*")


def read(path: Path, kind: str) -> tuple[Any, list[str]]:
    """Content of a file of torch.save, and the names of the code that reading it would run.

    `kind` is "torch" or "torch-legacy". Tensors are `TensorInfo`, mappings, lists and plain values
    are themselves. On a damaged file the reader fails in every way there is.
    """
    code: set[str] = set()
    if kind == "torch":
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.partition("/")[2] == "data.pkl")
            with archive.open(name) as file:
                if file.read(2)[1] > NEWEST:
                    raise UserError(f"{path}: {UNREAD}")
                file.seek(0)
                return _Reader(file, code).load(), sorted(code)
    with path.open("rb") as file:
        for _ in ("magic number", "version", "system"):
            _Reader(file, code).load()
        reader = _Reader(file, code)
        content, _keys = reader.load(), _Reader(file, code).load()
        # the numbers follow, those of each storage after their count
        if path.stat().st_size < file.tell() + sum(8 + n for n in reader.storages.values()):
            raise ValueError("its end is missing")
        return content, sorted(code)


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], code: set[str]) -> None:
        super().__init__(file, encoding="latin1")
        self.code = code
        self.storages: dict[Any, int] = {}  # bytes by key

    def persistent_load(self, pid: Any) -> Any:
        """Of a storage, which lies elsewhere in the file."""
        bits = re.search(r"\d+$", pid[1])
        self.storages[pid[2]] = pid[4] * (int(bits[0]) // 8 if bits else 1)
        return _Storage(pid[1], pid[2])

    def find_class(self, module: str, name: str) -> Any:
        """Stand-in for a class or function; whatever has none is code."""
        if module in ("torch", "torch.storage", "torch.cuda") and name in STORAGES:
            return STORAGES[name]
        full = f"{module}.{name}".replace("__builtin__.", "builtins.")  # of Python 2's pickles
        if full in STAND_INS:
            return STAND_INS[full]
        if module == "torch" and _DTYPE.fullmatch(name):
            return name
        self.code.add(full)
        return Value
