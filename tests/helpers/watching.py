"""Looking into the training that a method runs, and ending it early."""

import copy

import pytest
import torch

from advprune.training.loop import Hook, Trainer
from helpers.training import KilledError


def watch(monkeypatch, *hooks):
    """Add hooks, after its own, to every phase that is trained from now on."""
    fit = Trainer.fit

    def watched(self, *args, **options):
        options["hooks"] = [*options.get("hooks", ()), *hooks]
        return fit(self, *args, **options)

    monkeypatch.setattr(Trainer, "fit", watched)


class Kill(Hook):
    """End the process after the optimiser step `at`."""

    at = -1

    def after_step(self, loop):
        if loop.step == self.at:
            raise KilledError


def check_resumes(monkeypatch, net, prune, at):
    """A pruning killed after step `at` of a phase and taken up again ends with the same bits.

    `prune(net, name)` prunes the net and returns its masks; each name has resume files of its own.
    """
    kill = Kill()
    watch(monkeypatch, kill)
    nets = {name: copy.deepcopy(net) for name in ("whole", "killed", "again")}
    whole = prune(nets["whole"], "whole")
    kill.at = at
    with pytest.raises(KilledError):
        prune(nets["killed"], "killed")
    kill.at = -1
    again = prune(nets["again"], "killed")
    assert all(torch.equal(m, again[n]) for n, m in whole.items())
    theirs = nets["again"].state_dict()
    assert all(torch.equal(v, theirs[n]) for n, v in nets["whole"].state_dict().items())


def check_fit_resumes(run, folder, step):
    """A training killed after an optimiser step and taken up again ends with the same bits.

    `run(folder, kill)` trains a net from its start, killed at the step `kill` (never at -1), and
    returns the tensors and the history that must be equal.
    """
    whole, history = run(folder / "whole", -1)
    with pytest.raises(KilledError):
        run(folder / "killed", step)
    again, resumed = run(folder / "killed", -1)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    assert history == resumed


def check_resumes_epoch(monkeypatch, pruned, folder):
    """The same for a kill after the training of epoch 4, before its resume file is written.

    `pruned(folder)` returns the tensors that must be equal.
    """
    whole = pruned(folder / "whole")
    monitor = Trainer._monitor

    def fatal(self, loop, record, phase):
        if loop.epoch == 4:
            raise KilledError
        return monitor(self, loop, record, phase)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_monitor", fatal)
        with pytest.raises(KilledError):
            pruned(folder / "killed")
    again = pruned(folder / "killed")
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
