"""The table of datasets. Pure Python: the workflow reads it while planning, without torch."""

from dataclasses import dataclass

from advprune.base.errors import UserError


@dataclass(frozen=True)
class Spec:
    """What is known of a dataset before it is read.

    `shape` is (channels, height, width); `train`, `val` and `test` count images; `pad` is the
    zero padding of the random crop in pixels; `flip` says whether mirroring keeps the label.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    val: int
    test: int
    pad: int
    flip: bool


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("digits", (1, 8, 8), 10, train=1_300, val=100, test=397, pad=0, flip=False),
        Spec("cifar10", (3, 32, 32), 10, train=49_000, val=1_000, test=10_000, pad=4, flip=True),
        Spec("svhn", (3, 32, 32), 10, train=72_257, val=1_000, test=26_032, pad=4, flip=False),
    )
}


def spec_of(name: str) -> Spec:
    """Return the dataset's row; an unknown name is a `UserError` that lists the known ones."""
    if name not in SPECS:
        raise UserError(f"unknown dataset '{name}'; known: {', '.join(sorted(SPECS))}")
    return SPECS[name]
