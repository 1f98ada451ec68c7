"""HO-FMN: hyper-parameter optimisation of FMN for one net (Mura et al. 2024, arXiv 2407.08806)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
import torch
from torch import Tensor, nn

from advprune.attacks.boundary import LOSSES, misclassified
from advprune.attacks.fmn import OPTIMIZERS, SCHEDULES, FmnConfig, MinimumNorm, fmn_in_batches
from advprune.attacks.verdicts import accuracy, robust_at
from advprune.base.errors import UserError
from advprune.models.frozen import frozen
from advprune.models.precision import EXACT, arithmetic

WHOLE_BOX = 1.0  # stands for "none found" in a median: no Linf distance in [0, 1] is larger
LARGEST_STEP = 10.0  # as in HO-FMN's search space


@dataclass(frozen=True)
class Tuned:
    """The best configuration and every trial.

    A trial is {"number", "config", "median", "found", "robust"}: the median distance, the share
    of samples with an adversarial point and the robust accuracy at eps, all over the correctly
    classified tuning images. Trial 0 is the default configuration. No trials at all means that
    the net classifies no tuning image correctly.
    """

    config: FmnConfig
    trials: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"config": self.config.to_dict(), "trials": self.trials}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Tuned":
        """Inverse of `to_dict`; anything else is a UserError."""
        try:
            return cls(FmnConfig.from_dict(values["config"]), values["trials"])
        except (KeyError, TypeError) as error:
            raise UserError(f"not the result of a tuning ({error})") from None


def tune(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    trials: int,
    steps: int,
    eps: float,
    seed: int,
    batch_size: int,
    precision: str = EXACT,
    progress: Callable[[str], None] | None = None,
) -> Tuned:
    """Search the FMN configuration with the smallest median distance on images x [N, C, H, W].

    The default configuration is the first trial, so the result is never worse than it on these
    images. Misclassified images have distance 0 for every configuration and are left out.
    `eps` bounds the step size from below, as 8/255 does in HO-FMN. Equal seeds give equal trials.
    """
    if trials < 1:
        raise UserError("HO-FMN needs at least one trial")
    x, y = _correct(net, x, y, batch_size)
    if len(x) == 0:
        return Tuned(FmnConfig(), [])
    rows: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        config = suggest(trial, eps)
        found = fmn_in_batches(
            net, x, y, steps=steps, batch_size=batch_size, config=config, precision=precision
        )
        rows.append({"number": trial.number, "config": config.to_dict(), **_summary(found, eps)})
        if progress:
            progress(f"HO-FMN trial {trial.number + 1}/{trials}: median {rows[-1]['median']:.5f}")
        # samples without any adversarial point only break ties between equal medians
        return rows[-1]["median"] + 1e-6 * (1 - rows[-1]["found"])

    with _quiet():
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed % 2**32))
        study.enqueue_trial(_default_point(eps))
        study.optimize(objective, n_trials=trials)
    best = min(rows, key=lambda row: (row["median"], -row["found"], row["number"]))
    return Tuned(FmnConfig.from_dict(best["config"]), rows)


def suggest(trial: optuna.trial.BaseTrial, eps: float) -> FmnConfig:
    """Take a point of the search space; settings without a use in it keep their defaults.

    HO-FMN searches once for every loss, optimiser and schedule; here they are choices of one
    search. Weight decay and dampening, which pull a perturbation to zero in units that mean
    nothing after the sign, are left out; the first change of eps (gamma) is added.
    """
    low = min(eps, FmnConfig.step_size)
    config: dict[str, Any] = {
        "loss": trial.suggest_categorical("loss", list(LOSSES)),
        "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
        "schedule": trial.suggest_categorical("schedule", SCHEDULES),
        "step_size": trial.suggest_float("step_size", low, LARGEST_STEP, log=True),
        "gamma": trial.suggest_float("gamma", 0.01, 0.5, log=True),
    }
    if config["optimizer"] == "SGD":
        config["momentum"] = trial.suggest_float("momentum", 0.0, 0.9)
    else:
        config["beta1"] = trial.suggest_float("beta1", 0.0, 0.999)
        config["beta2"] = trial.suggest_float("beta2", 0.0, 0.999)
    if config["schedule"] == "plateau":
        config["factor"] = trial.suggest_float("factor", 0.1, 0.5)
        config["patience"] = trial.suggest_categorical("patience", [2, 5, 10])
    return FmnConfig(**config)


def _default_point(eps: float) -> dict[str, Any]:
    """Express the default configuration in the names of the search space."""
    default = FmnConfig().to_dict()
    trial = optuna.trial.FixedTrial(default)
    suggest(trial, eps)
    return dict(trial.params)


def _correct(net: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    with frozen(net), arithmetic(EXACT), torch.no_grad():
        pairs = zip(x.split(batch_size), y.split(batch_size), strict=True)
        keep = torch.cat([~misclassified(net(images), labels) for images, labels in pairs])
    return x[keep], y[keep]


def _summary(found: MinimumNorm, eps: float) -> dict[str, float]:
    return {
        "median": found.distance.clamp(max=WHOLE_BOX).median().item(),
        "found": found.found.double().mean().item(),
        "robust": accuracy(robust_at(found.distance.cpu(), eps)),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
