"""InTrain (Vemparala et al. 2021, CVPRW SAIAD): gates learned with the weights under a budget.

init       M ~ U(0.1, 0.5) per weight or input channel, all gates open
train      effective weight  W · [M > 0],  gradient to M through 0.5 tanh(M) + 0.5
           optimiser 1:  W, M  minimise the robust loss f
           optimiser 2:  M     minimises  f + b · max(ψ − ψ*, 0),  ψ the share of open gates
           late:  the gates of largest M, over all layers together and exactly the number wanted,
           stay open for good;  W trains on
export     W · [M > 0]
"""

from typing import Any

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.parametrization import attach
from advprune.pruning.reparam import CutOnce, Gate
from advprune.training.loop import Hook, Loop


class Budget(Hook):
    """The second optimiser: it closes gates while more than the share `target` are open.

    It reuses the robust loss's gradient that the first optimiser has just used. Its steps are such
    that it can move a gate by about `reach` in the whole phase.
    """

    def __init__(self, gates: list[Gate], target: float, weight: float, reach: float) -> None:
        self.gates, self.target, self.weight, self.reach = gates, target, weight, reach
        self.optimizer = torch.optim.Adam([g.gate for g in gates])
        self.units = sum(g.gate.numel() for g in gates)

    def share(self) -> Tensor:
        """ψ: share of all gates that are open, differentiable in every M."""
        return torch.stack([g.open().sum() for g in self.gates]).sum() / self.units

    def after_step(self, loop: Loop) -> None:
        """Step on the loss's gradient plus the hinge's, unless the gates have been fixed."""
        if not self.gates[0].gate.requires_grad:
            return
        hinge = torch.relu(self.share() - self.target)
        (self.weight * hinge).backward()  # adds to the gradient that is there
        self.optimizer.param_groups[0]["lr"] = self.reach / loop.steps
        self.optimizer.step()

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log the share of open gates."""
        record["open"] = float(self.share().detach())

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the optimiser's state."""
        self.optimizer.load_state_dict(state)


class InTrain(Method):
    """Trainable gates that compete for one budget over all layers."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train weights and gates from a fresh net."""
        params = task.params
        draws = mk.random_scores(net, task.structure, task.trainer.rng("gates"))

        def gate(name: str, _weight: Tensor) -> Gate:
            low, high = params["start"]
            return Gate(low + (high - low) * draws[name], task.structure)

        gates = attach(net, task.structure, gate)
        budget = Budget(
            list(gates.values()), 1 - task.sparsity, params["budget_weight"], params["reach"]
        )
        cut = CutOnce(
            net,
            gates,
            lambda: {name: g.gate.detach() for name, g in gates.items()},
            task.structure,
            task.sparsity,
            at=params["fix_at"],
        )
        task.fit(net, "train", hooks=[budget, cut])
        return cut.finish()


METHOD = InTrain()
