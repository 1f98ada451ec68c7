"""Looking into the training that a method runs."""

from advprune.training import Hook, Trainer


def watch(monkeypatch, *hooks):
    """Add hooks, after its own, to every phase that is trained from now on."""
    fit = Trainer.fit

    def watched(self, *args, **options):
        options["hooks"] = [*options.get("hooks", ()), *hooks]
        return fit(self, *args, **options)

    monkeypatch.setattr(Trainer, "fit", watched)


class KilledError(Exception):
    """Stands for the end of the process."""


class Kill(Hook):
    """End the process after the optimiser step `at`."""

    at = -1

    def after_step(self, loop):
        if loop.step == self.at:
            raise KilledError
