"""SVHN (Netzer et al. 2011): cropped house numbers, the official train and test sets."""

from pathlib import Path

from advprune.data.specs import Arrays, Spec

FILES = (
    ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
)
SIZES = {"train": 72_257, "val": 1_000, "test": 26_032}
SPEC = Spec("svhn", (3, 32, 32), 10, **SIZES, pad=4, flip=False, files=FILES)


def read(root: Path | None, cache: Path) -> Arrays:
    """Return train images uint8 [73257, 3, 32, 32], train labels, test images [26032, …], labels.

    The files' label 10 is the digit 0; the extra set is not used. Read from `root` without the
    network if given, otherwise downloaded into `cache`.
    """
    # here: who plans reads SPEC and has no torch
    from torchvision.datasets import SVHN

    from advprune.data.torchvision_files import obtain

    def arrays(folder: Path, download: bool) -> Arrays:
        train, test = (SVHN(folder, part, download=download) for part in ("train", "test"))
        return train.data, train.labels, test.data, test.labels

    return obtain(SPEC.name, "train_32x32.mat and test_32x32.mat", arrays, root, cache)
