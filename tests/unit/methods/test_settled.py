"""Methods that prune while they train: only epochs whose masks are final can be the best."""

import dataclasses

import pytest
import torch

from advprune.evaluation.evaluate import training
from advprune.jobs.training_job import last_epoch
from advprune.jobs.training_job import training as card
from advprune.methods import base
from advprune.models.registry import build
from advprune.plan.methods import known_methods, load_method
from advprune.pruning import masks as mk
from advprune.training.loop import Trainer
from helpers.methods import task_for
from helpers.small import SMALL

EPOCHS = 8
DURING = [key for key in known_methods() if load_method(key)["stage"] == "during"]
NEVER = {"bcsp"}  # its masks move until the end


class Falling(Trainer):
    """A trainer whose nets lose a little with every epoch: the first that may be chosen wins."""

    def _monitor(self, loop, record, phase):
        return super()._monitor(loop, record, phase) | {"val_pgd": 1 - loop.epoch / 100}


def falling_task(key, folder):
    task = task_for(key, folder)
    params = task.params | ({"updates": 3} if "updates" in task.params else {})
    recipes = {p: dataclasses.replace(r, epochs=EPOCHS) for p, r in task.recipes.items()}
    fields = {f.name: getattr(task.trainer, f.name) for f in dataclasses.fields(Trainer)}
    return dataclasses.replace(task, params=params, recipes=recipes, trainer=Falling(**fields))


@pytest.mark.parametrize("key", DURING)
def test_the_best_and_the_last_net_have_the_masks_that_are_returned(key, tmp_path):
    net, task = build(SMALL, torch.Generator().manual_seed(1)), falling_task(key, tmp_path)
    masks = base.load(key).prune(net, task)
    end = task.trainer.ends["train"]
    assert end.epochs == EPOCHS
    assert (end.taken == EPOCHS) == (key in NEVER)
    assert mk.violations(net, masks) == []
    if end.last is not None:
        assert any(not torch.equal(end.last[n], t) for n, t in net.state_dict().items())
        last = build(SMALL, torch.Generator())
        last.load_state_dict(end.last)
        assert mk.violations(last, masks) == []


def test_a_search_keeps_its_last_epoch_and_a_training_its_best(net, tmp_path):
    task = falling_task("hydra", tmp_path)
    method = base.load("hydra")
    masks = method.prune(net, task)
    mk.apply(net, masks)
    method.finetune(net, masks, task)
    ends = task.trainer.ends
    assert {name: (end.keep, end.taken) for name, end in ends.items()} == {
        "prune": ("last", EPOCHS),
        "finetune": ("best", 1),
    }
    assert mk.violations(net, masks) == []


@pytest.mark.parametrize("key", ["pwoa", "deadwooding"])
def test_methods_with_a_training_of_their_own_keep_its_best_too(net, key, tmp_path):
    task = falling_task(key, tmp_path)
    masks = mk.weight_masks(net, mk.rank(mk.magnitudes(net, "unstructured"), 0.8), "unstructured")
    mk.apply(net, masks)
    base.load(key).finetune(net, masks, task)
    assert task.trainer.ends["finetune"].keep == "best"
    assert task.trainer.ends["finetune"].taken == 1


@pytest.mark.parametrize("robust_dataset", [True, False])
def test_rfp_keeps_the_last_epoch_of_its_training_and_the_best_of_its_repair(
    net, robust_dataset, tmp_path
):
    """Its only masked training is in the prune job: cards and the last net must speak of that."""
    task = falling_task("rfp", tmp_path)
    params = task.params | {"steps": 2, "batches": 1, "repair": 0.5}
    params["robust_dataset"] = robust_dataset
    task = dataclasses.replace(task, structure="filters", sparsity=0.5, params=params)
    method = base.load("rfp")
    masks = method.prune(net, task)
    method.finetune(net, masks, task)
    ends = task.trainer.ends
    epochs = EPOCHS // 2 if robust_dataset else EPOCHS
    assert ends["prune-repair"].keep == "best"
    assert (ends["prune-repair"].epochs, ends["prune-repair"].taken) == (epochs, 1)
    if robust_dataset:
        assert (ends["prune-train"].keep, ends["prune-train"].taken) == ("last", epochs)
    of_the_card = training(card(task.trainer), {"best": {"pgd": 1.0}})
    assert (of_the_card["best_epoch"], of_the_card["final_epochs"]) == (1, epochs)
    assert of_the_card["epochs"] == EPOCHS
    last = build(SMALL, torch.Generator())
    last.load_state_dict(last_epoch(task.trainer))
    assert any(not torch.equal(last.state_dict()[n], t) for n, t in net.state_dict().items())
    assert mk.violations(net, masks) == mk.violations(last, masks) == []


@pytest.mark.parametrize("key", ["flyingbird", "flyingbird_plus", "dnr"])
def test_what_was_grown_last_has_been_trained(key, tmp_path):
    """The last update may come with the last step of an epoch: its weights begin at zero."""
    net, task = build(SMALL, torch.Generator().manual_seed(1)), falling_task(key, tmp_path)
    masks = base.load(key).prune(net, task)
    kept = [(mask, dict(net.named_parameters())[name]) for name, mask in masks.items()]
    zero = sum(int((mask & (weight == 0)).sum()) for mask, weight in kept)
    assert zero <= 0.001 * sum(int(mask.sum()) for mask, _ in kept)
