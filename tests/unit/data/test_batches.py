"""Batches: everything once, in unit range, augmented only in the ways that are allowed."""

import pytest
import torch
from torch.nn import functional as F

from advprune.data.batches import Augment, Extra, batches, to_float
from advprune.data.dataset import Split


def numbered(n: int, channels: int = 3, height: int = 6, width: int = 5) -> Split:
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(
        1, 256, (n, channels, height, width), generator=generator, dtype=torch.uint8
    )
    return Split(images, torch.arange(n))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("generator", [None, seeded()])
@pytest.mark.parametrize(("size", "drop", "lengths"), [(4, False, [4, 4, 2]), (4, True, [4, 4])])
def test_every_sample_is_seen_exactly_once(generator, size, drop, lengths):
    split = numbered(10)
    seen = list(batches(split, size, generator=generator, drop_last=drop))
    assert [len(y) for _, y in seen] == lengths
    labels = torch.cat([y for _, y in seen])
    assert len(labels.unique()) == sum(lengths)
    images = torch.cat([x for x, _ in seen])
    assert images.equal(to_float(split.images[labels]))  # images stay with their labels


def test_without_a_generator_the_order_is_kept_and_with_one_it_changes():
    split = numbered(50)
    labels = torch.cat([y for _, y in batches(split, 7)])
    assert labels.equal(split.labels)
    generator = seeded()
    first, second = (
        torch.cat([y for _, y in batches(split, 7, generator=generator)]) for _ in range(2)
    )
    assert not first.equal(split.labels)
    assert not first.equal(second)  # another order each epoch


def test_the_same_generator_gives_the_same_batches_and_the_global_one_is_untouched():
    split, augment = numbered(20), Augment(pad=2, flip=True)
    before = torch.get_rng_state()
    runs = [
        torch.cat([x for x, _ in batches(split, 8, generator=seeded(seed), augment=augment)])
        for seed in (1, 1, 2)
    ]
    assert runs[0].equal(runs[1])
    assert not runs[0].equal(runs[2])
    assert torch.get_rng_state().equal(before)


def test_images_are_float_in_unit_range():
    split = Split(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16), torch.zeros(1).long())
    ((x, _),) = batches(split, 1)
    assert x.dtype == torch.float32
    assert (x.min(), x.max()) == (0, 1)
    assert x.flatten().equal(torch.arange(256) / 255)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [0, 1, 2])
def test_augmented_images_are_exactly_the_allowed_windows(pad, flip):
    split = numbered(1, height=6, width=5)
    n = 3000
    many = split.images.expand(n, -1, -1, -1)
    result = Augment(pad, flip)(many, seeded())
    assert result.dtype == torch.uint8
    padded = F.pad(split.images[0], (pad,) * 4)
    windows = [
        padded[:, top : top + 6, left : left + 5]
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
    ]
    if flip:
        windows += [window.flip(2) for window in windows]
    counts = torch.stack([(result == w).flatten(1).all(1).sum() for w in windows])
    assert counts.sum() == n  # nothing but windows
    assert counts.min() > 0.5 * n / len(windows)  # all of them, about equally often
    assert counts.max() < 1.5 * n / len(windows)


def test_samples_of_a_batch_are_augmented_each_in_its_own_way():
    split = numbered(1)
    result = Augment(2, True)(split.images.expand(64, -1, -1, -1), seeded())
    assert len(result.unique(dim=0)) > 20


def test_no_augmentation_is_the_identity():
    split = numbered(9)
    assert Augment(0, False)(split.images, seeded()).equal(split.images)


def test_misuse_is_refused_at_the_call():
    split = numbered(3)
    with pytest.raises(ValueError, match="batch_size"):
        batches(split, 0)
    with pytest.raises(ValueError, match="generator"):
        batches(split, 2, augment=Augment(1, False))
    with pytest.raises(ValueError, match="generator"):
        batches(split, 2, extra=Extra(split, 0.5))


def relabelled(n: int) -> Split:
    """Other images, with labels from 1000 on."""
    split = numbered(n + 1000)
    return Split(split.images[1000:], split.labels[1000:])


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(
    ("ratio", "extra_of_8", "extra_of_3"), [(0.5, 4, 2), (0.25, 2, 1), (0.7, 6, 2)]
)
def test_extra_images_have_their_share_of_every_batch_and_batches_keep_their_sizes(
    ratio, extra_of_8, extra_of_3, drop
):
    split, extra = numbered(35), relabelled(100)
    mixed = list(batches(split, 8, generator=seeded(), drop_last=drop, extra=Extra(extra, ratio)))
    plain = batches(split, 8, generator=seeded(), drop_last=drop)
    assert [len(y) for _, y in mixed] == [len(y) for _, y in plain]
    taken = [int((y >= 1000).sum()) for _, y in mixed]
    assert taken == [extra_of_8] * 4 + [extra_of_3] * (not drop)
    labels = torch.cat([y for _, y in mixed])
    assert len(labels.unique()) == len(labels)  # neither kind comes twice in a pass
    every = {**dict(enumerate(split.images)), **dict(enumerate(extra.images, 1000))}
    for x, y in mixed:  # images stay with their labels
        assert x.equal(to_float(torch.stack([every[int(label)] for label in y])))


def test_few_extra_images_come_again_only_when_all_have_come():
    """48 places for 10 of them: each comes four or five times."""
    extra = Extra(relabelled(10), 0.5)
    seen = torch.cat([y for _, y in batches(numbered(96), 8, generator=seeded(), extra=extra)])
    counts = (seen[:, None] == extra.split.labels).sum(0)
    assert counts.sum() == 48 and set(counts.tolist()) == {4, 5}


def test_mixed_batches_follow_the_generator_and_are_augmented_alike():
    augment, extra = Augment(pad=2, flip=True), Extra(relabelled(50), 0.5)

    def run(seed):
        found = batches(numbered(20), 8, generator=seeded(seed), augment=augment, extra=extra)
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    (x, y), (again, labels), (_, other) = (run(seed) for seed in (1, 1, 2))
    assert x.equal(again) and y.equal(labels) and not y.equal(other)
    originals = {int(n): i for n, i in zip(extra.split.labels, extra.split.images, strict=True)}
    moved = [not i.equal(to_float(originals[int(n)])) for i, n in zip(x, y, strict=True) if n > 999]
    assert sum(moved) > len(moved) / 2


def test_extra_images_of_another_memory_layout_give_the_same_batches():
    """As they lie in an .npz file, channels last."""
    extra = relabelled(30)
    last = extra.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    for (x, y), (u, v) in zip(
        batches(numbered(20), 8, generator=seeded(), extra=Extra(extra, 0.5)),
        batches(numbered(20), 8, generator=seeded(), extra=Extra(Split(last, extra.labels), 0.5)),
        strict=True,
    ):
        assert x.equal(u) and y.equal(v)
        assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_split_gives_the_same_batches_and_is_never_waited_for():
    split, augment = numbered(1000), Augment(pad=2, flip=True)
    moved = split.to("cuda")
    on_cpu = batches(split, 64, generator=seeded(), augment=augment)
    on_gpu = batches(moved, 64, generator=seeded(), augment=augment)
    for (x, y), (u, v) in zip(on_cpu, on_gpu, strict=True):
        assert x.equal(u.cpu())
        assert y.equal(v.cpu())
    generator = torch.Generator("cuda").manual_seed(0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in batches(moved, 64, generator=generator, augment=augment):
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_colour_images_come_channels_last():
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    (x, _), *_ = batches(Split(images, torch.zeros(5, dtype=torch.long)), 4)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, images[:4] / 255)
