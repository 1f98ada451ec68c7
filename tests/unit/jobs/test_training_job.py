"""What cards say of a net's training, along the chain of its jobs."""

import torch

from advprune.base.files import write_json
from advprune.jobs.training_job import last_epoch, training
from advprune.training.epochs import End
from helpers.training import trainer


def after(folder, marks=(), **ends):
    loop = trainer(folder)
    loop.marks.extend(marks)
    loop.ends.update({name.replace("_", "-"): end for name, end in ends.items()})
    return loop


def test_epochs_and_marks_are_those_of_the_whole_chain(tmp_path):
    pretrained, pruned = tmp_path / "pretrained.safetensors", tmp_path / "pruned.safetensors"
    loop = after(tmp_path, pretrain=End(30, 7, 0.5, 0.4, "best", {}))
    write_json(tmp_path / "pretrained.json", {"sha256": "0"} | training(loop))
    search = {f"prune_{n}": End(5, 5, 0.3, 0.3, "last") for n in (1, 2)}
    loop = after(tmp_path, ["the search did nothing"], **search)
    write_json(tmp_path / "pruned.json", training(loop, pretrained))
    final = training(after(tmp_path, ["it fell"], finetune=End(20, 20, 0.4, 0.4, "best")), pruned)
    assert final == {
        "epochs": {"pretrain": 30, "prune": 10, "finetune": 20},
        "best": {
            "pretrain": {"epoch": 7, "of": 30, "val_pgd": 0.5, "val_pgd_last": 0.4},
            "finetune": {"epoch": 20, "of": 20, "val_pgd": 0.4, "val_pgd_last": 0.4},
        },
        "marks": ["the search did nothing", "it fell"],
    }


def test_the_last_epoch_is_that_of_the_training_that_kept_its_best(tmp_path):
    tensors = {"fc.weight": torch.ones(1)}
    search = End(5, 2, 0.4, 0.1, "last")
    both = after(tmp_path, prune=search, train=End(6, 3, 0.4, 0.3, "best", tensors))
    assert last_epoch(both) is tensors
    assert last_epoch(after(tmp_path, prune=search)) is None
    assert last_epoch(after(tmp_path, train=End(6, 6, 0.4, 0.4, "best"))) is None
