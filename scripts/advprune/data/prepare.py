"""From a dataset's name to its tensors."""

from pathlib import Path

from advprune.data.dataset import Dataset, from_arrays
from advprune.data.specs import module_of


def prepare(
    name: str, *, data_root: Path | None, cache: Path, limits: dict[str, int] | None = None
) -> Dataset:
    """Read a dataset from `data_root`, or download it into `cache` (digits needs neither).

    `limits` ({"train": n, "val": n, "test": n}, each optional, upper bounds) keeps the first n
    images of a split. All splits, the test one included, are in a fixed stratified order and not
    the official one, so that the first n are a fair sample. What cannot be had is a `UserError`.
    """
    module = module_of(name)
    return from_arrays(module.SPEC, *module.read(data_root, cache), limits=limits)
