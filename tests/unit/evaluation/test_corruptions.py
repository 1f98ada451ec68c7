"""Common corruptions: the library's, at a size that leaves something of small images."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from advprune.base.errors import UserError
from advprune.data import imagenet_c
from advprune.data.imagenet_c import SEVERITIES, corrupted, names
from advprune.evaluation.corruptions import load, measure, save
from advprune.plan.verdicts import CORRUPTIONS
from advprune.report.corruptions import means

EVERY = [name for family in CORRUPTIONS for name in names(family)]
# glass blur compiles for seconds
RANDOM = [name for name in EVERY if name in ("gaussian_noise", "impulse_noise", "frost", "fog")]


def pictures(n=3, channels=3, side=32, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, side, side), generator=rng, dtype=torch.uint8)


def test_the_families_hold_the_fifteen_corruptions():
    assert len(EVERY) == len(set(EVERY)) == 15
    assert imagenet_c.get_corruption_names("common") == EVERY


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(3, 32), (1, 8), (3, 12)])
def test_the_way_to_the_library_and_back_changes_nothing(monkeypatch, name, shape):
    seen = []

    def harmless(image, severity, corruption, **more):
        seen.append((image.shape, image.dtype))
        return np.repeat(image, 3, 2) if image.shape[2] == 1 else image

    monkeypatch.setattr(imagenet_c, "corrupt", harmless)
    x = pictures(2, *shape)
    assert torch.equal(corrupted(x, "digits", name, 1), x)
    grid = name in ("pixelate", "jpeg_compression")
    side = {8: 32, 12: 36 if grid else 48, 32: 32 if grid else 128}[shape[1]]
    assert seen == [((side, side, shape[0]), np.uint8)] * 2


@pytest.mark.parametrize("name", [n for n in EVERY if n != "glass_blur"])
@pytest.mark.parametrize("shape", [(3, 32), (1, 8)])
def test_every_corruption_changes_images_and_keeps_their_shape(name, shape):
    x = pictures(2, *shape)
    found = corrupted(x, "digits", name, 3)
    assert found.shape == x.shape and found.dtype == torch.uint8
    assert not torch.equal(found, x)


@pytest.mark.slow
def test_glass_blur_too():
    x = pictures(2)
    found = corrupted(x, "cifar10", "glass_blur", 1)
    assert found.shape == x.shape and not torch.equal(found, x)
    assert torch.equal(found, corrupted(x, "cifar10", "glass_blur", 1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.08), (2, 0.12)])
def test_noise_has_a_quarter_of_the_librarys_deviation(channels, severity, deviation):
    x = torch.full((4, channels, 32, 32), 128, dtype=torch.uint8)
    found = corrupted(x, "digits", "gaussian_noise", severity).double()
    assert found.std() == pytest.approx(255 * deviation / 4, rel=0.05)
    assert found.mean() == pytest.approx(128, abs=1)


def test_a_grey_image_becomes_brighter_by_what_the_paper_says():
    x = torch.full((1, 1, 8, 8), 100, dtype=torch.uint8)
    for severity in SEVERITIES:
        found = corrupted(x, "digits", "brightness", severity).double()
        assert found.mean() == pytest.approx(100 + 25.5 * severity, abs=1)


@pytest.mark.parametrize("name", RANDOM)
def test_the_corruption_of_an_image_depends_on_its_place_alone(name):
    x = pictures(1).expand(3, -1, -1, -1)
    np.random.seed(5)
    first = corrupted(x, "digits", name, 2)
    state = np.random.get_state()[1].copy()
    np.random.seed(6)
    assert torch.equal(first[:2], corrupted(x[:2], "digits", name, 2))
    np.random.seed(5)
    assert (np.random.get_state()[1] == state).all()
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, corrupted(x, "svhn", name, 2))


class First(nn.Module):
    """Class 1 where the first pixel is bright, else 0."""

    def forward(self, x):
        bright = (x[:, 0, 0, 0] > 0.5).float()
        return torch.stack([1 - bright, bright], 1)


def test_accuracies_are_counted_over_all_batches():
    x = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    x[:3, 0, 0, 0] = 255
    rows = measure(
        First(), {("fog", 2): x, ("fog", 1): 255 - x}, torch.tensor([1, 1, 1, 1, 0]), batch=2
    )
    assert [(r["corruption"], r["severity"]) for r in rows] == [("fog", 1), ("fog", 2)]
    assert [r["correct"] for r in rows] == [1, 4]
    assert [r["accuracy"] for r in rows] == [0.2, 0.8] and {r["images"] for r in rows} == {5}
    with pytest.raises(UserError, match="fog: 5 images for 4 labels"):
        measure(First(), {("fog", 1): x}, torch.ones(4), batch=2)


def test_images_come_back_as_they_were_saved(tmp_path):
    images = {("fog", 1): pictures(2), ("jpeg_compression", 5): pictures(2, seed=1)}
    save(tmp_path / "a.safetensors", images, "svhn")
    found = load(tmp_path / "a.safetensors", "svhn")
    assert found.keys() == images.keys()
    assert all(torch.equal(found[key], images[key]) for key in images)
    with pytest.raises(UserError, match="images of svhn, not of digits"):
        load(tmp_path / "a.safetensors", "digits")


def test_means_are_over_what_their_name_says():
    model = {"method": "lwm", "dataset": "digits", "arch": "resnet18", "structure": "filters"}
    rows = [
        model
        | {"sparsity": 0.5, "seed": seed, "corruption": c, "severity": s}
        | {"images": 10, "accuracy": a + seed / 100}
        for seed in (0, 1)
        for c, s, a in [
            ("none", 0, 0.9),
            ("fog", 1, 0.8),
            ("fog", 2, 0.6),
            ("snow", 1, 0.4),
            ("snow", 2, 0.0),
        ]
    ]
    found = means(pd.DataFrame(rows)).to_dict("records")
    expected = {"clean": 0.9, "mean": 0.45, "severity_1": 0.6, "severity_2": 0.3}
    expected |= {"fog": 0.7, "snow": 0.2}
    assert {key: found[0][key] for key in expected} == pytest.approx(expected)
    assert found[1]["mean"] == pytest.approx(0.46) and found[0]["images"] == 10
    assert [row["seed"] for row in found] == [0, 1]
