"""Batches drawn and augmented where the images are, without waiting for the device."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from advprune.data.dataset import Split

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Augment:
    """A random crop out of `pad` pixels of zeros around the image, then perhaps a mirror image."""

    pad: int
    flip: bool

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return images [N, C, H, W] of the same type, each with its own offset and mirroring."""
        n, _, height, width = images.shape
        top, left = (
            _draw(2 * self.pad + 1, n, generator, images.device)[:, None] for _ in range(2)
        )
        columns = torch.arange(width, device=images.device).expand(n, width)
        if self.flip:
            mirrored = _draw(2, n, generator, images.device)[:, None].bool()
            columns = torch.where(mirrored, columns.flip(1), columns)
        rows = torch.arange(height, device=images.device) + top
        padded = F.pad(images, (self.pad,) * 4).permute(0, 2, 3, 1)
        sample = torch.arange(n, device=images.device)[:, None, None]
        cropped = padded[sample, rows[:, :, None], (columns + left)[:, None, :]]
        return cropped.permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Extra:
    """More images to train with: a share `ratio`, in (0, 1), of every batch comes from `split`."""

    split: Split
    ratio: float

    @property
    def mark(self) -> str:
        """Line for the card: "trained with 500,000 extra images, half of every batch"."""
        share = "half" if self.ratio == 0.5 else f"{100 * self.ratio:g} %"
        return f"trained with {len(self.split):,} extra images, {share} of every batch"


def batches(
    split: Split,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
    augment: Augment | None = None,
    drop_last: bool = False,
    extra: Extra | None = None,
) -> Iterator[Batch]:
    """Yield (images float32 in [0,1], labels) on the split's device, one pass over the split.

    Shuffled by the generator if given, otherwise in order; augmentation needs the generator. A
    generator on the CPU gives the same batches for a split on any device.

    With `extra`, which needs the generator too, there are as many batches of the same sizes. The
    extra images take the place of as many of the split, of which a pass sees the rest.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    if generator is None and (augment is not None or extra is not None):
        raise ValueError("augmentation and extra images need a generator")
    if extra is not None and generator is not None:
        return _mixed(split, extra, batch_size, generator, augment, drop_last)
    return _pass_over(split, batch_size, generator, augment, drop_last)


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Turn uint8 images into float32 in [0,1]."""
    return images.to(torch.float32) / 255


def _pass_over(
    split: Split,
    batch_size: int,
    generator: torch.Generator | None,
    augment: Augment | None,
    drop_last: bool,
) -> Iterator[Batch]:
    n = len(split)
    order = None if generator is None else _shuffled(split, n, generator)
    end = n - n % batch_size if drop_last else n
    for start in range(0, end, batch_size):
        part = slice(start, start + batch_size)
        pick = part if order is None else order[part]
        yield _batch(split.images[pick], split.labels[pick], generator, augment)


def _mixed(
    split: Split,
    extra: Extra,
    batch_size: int,
    generator: torch.Generator,
    augment: Augment | None,
    drop_last: bool,
) -> Iterator[Batch]:
    full, rest = divmod(len(split), batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0 and not drop_last)
    taken = [round(extra.ratio * size) for size in sizes]
    own = [size - more for size, more in zip(sizes, taken, strict=True)]
    picks = zip(
        _shuffled(split, sum(own), generator).split(own),
        _shuffled(extra.split, sum(taken), generator).split(taken),
        strict=True,
    )
    for pick, more in picks:
        images = torch.cat([split.images[pick], extra.split.images[more]])
        labels = torch.cat([split.labels[pick], extra.split.labels[more]])
        yield _batch(images, labels, generator, augment)


def _batch(
    images: torch.Tensor,
    labels: torch.Tensor,
    generator: torch.Generator | None,
    augment: Augment | None,
) -> Batch:
    if augment is not None and generator is not None:  # it never comes without one
        images = augment(images, generator)
    # channels_last: convolutions rearrange their inputs otherwise, forwards and backwards
    return to_float(images).contiguous(memory_format=torch.channels_last), labels


def _shuffled(split: Split, count: int, generator: torch.Generator) -> torch.Tensor:
    """Indices of `count` images in random order; none comes again before all have come."""
    n, device = len(split), generator.device
    rounds = range(max(1, -(-count // n)))
    orders = [torch.randperm(n, generator=generator, device=device) for _ in rounds]
    return torch.cat(orders)[:count].to(split.images.device, non_blocking=True)


def _draw(high: int, n: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Draw n integers in [0, high) on the generator's device and bring them to `device`."""
    drawn = torch.randint(high, (n,), generator=generator, device=generator.device)
    return drawn.to(device, non_blocking=True)
