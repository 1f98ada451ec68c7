"""Training with extra images: in every batch, never in validation, the same bits after a kill."""

import dataclasses

import pytest
import torch

from advprune.data.batches import Augment, Extra
from advprune.data.dataset import Split
from advprune.training import loop, monitor
from advprune.training.objective import make
from helpers.small import blobs
from helpers.training import RECIPE, THREAT, KillAt, trainer
from helpers.watching import check_fit_resumes

WHITE = Split(torch.full((30, 1, 8, 8), 255, dtype=torch.uint8), torch.zeros(30).long())


def with_extra(folder, ratio=0.25, **options):
    """Without augmentation a white image is one of the extra ones."""
    plain = trainer(folder, **options)
    return dataclasses.replace(plain, augment=Augment(0, False), extra=Extra(WHITE, ratio))


class Watched:
    """Natural training that remembers how many images of each batch were white, and how many."""

    def __init__(self):
        self.natural, self.seen = make({"name": "natural"}, THREAT), []

    def loss(self, net, x, y, generator):
        self.seen.append((int((x == 1).flatten(1).all(1).sum()), len(x)))
        return self.natural.loss(net, x, y, generator)


def test_every_batch_of_every_epoch_has_its_share(net, tmp_path):
    objective = Watched()
    history = with_extra(tmp_path).fit(net, objective, RECIPE, "p")
    assert objective.seen == [(4, 16), (4, 16), (2, 8)] * RECIPE.epochs  # 40 images, as without
    assert len(history) == RECIPE.epochs


def test_validation_sees_no_extra_image(net, tmp_path, monkeypatch):
    judged, batches = [], monitor.batches

    def watched(split, *arguments, **options):
        if split.images.shape[0] == 12:  # the validation images
            judged.append((split, options.get("extra")))
        return batches(split, *arguments, **options)

    for module in (loop, monitor):
        monkeypatch.setattr(module, "batches", watched)
    task = with_extra(tmp_path)
    task.fit(net, make({"name": "natural"}, THREAT), RECIPE, "p")
    assert len(judged) == 2 * RECIPE.epochs  # clean and attacked
    assert all(split is task.val and extra is None for split, extra in judged)


def test_only_what_trains_with_them_is_marked_and_once(net, tmp_path):
    task, natural = with_extra(tmp_path), make({"name": "natural"}, THREAT)
    task.fit(net, natural, dataclasses.replace(RECIPE, epochs=0), "none")
    dataclasses.replace(task, extra=None).fit(net, natural, RECIPE, "without")
    assert task.marks == []
    for name in ("first", "second", "first"):  # the last is resumed when it is over
        task.fit(net, natural, dataclasses.replace(RECIPE, epochs=1), name)
        assert task.marks == ["trained with 30 extra images, 25 % of every batch"]


@pytest.mark.parametrize("step", [1, 7])
def test_a_killed_run_with_extra_images_resumes_to_the_same_bits(net, tmp_path, step):
    fresh = {k: v.clone() for k, v in net.state_dict().items()}

    def run(folder, kill):
        net.load_state_dict(fresh)
        objective = make({"name": "natural"}, THREAT)
        history = with_extra(folder).fit(net, objective, RECIPE, "p", [KillAt(kill)])
        return [t.clone() for t in net.state_dict().values()], history

    check_fit_resumes(run, tmp_path, step)


def test_epochs_draw_anew_and_follow_the_seed(net, tmp_path):
    labels = []

    class Labels(Watched):
        def loss(self, net, x, y, generator):
            labels.append(y.tolist())
            return super().loss(net, x, y, generator)

    extra = Extra(Split(blobs(200, 5).images, torch.arange(200) % 3), 0.5)
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        task = dataclasses.replace(trainer(tmp_path / folder, seed=seed), extra=extra)
        task.fit(net, Labels(), dataclasses.replace(RECIPE, epochs=2), "p")
    (a, b, c) = (labels[i : i + 6] for i in (0, 6, 12))
    assert a == b and a != c and a[:3] != a[3:]
