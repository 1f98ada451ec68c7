"""Targeted FAB (Croce & Hein 2020, arXiv 1907.02044) with several targets in one batch.

The original in `pyautoattack` goes through the target classes one after the other. Without random
restarts a sample's search for one target knows nothing of the others, so small images can be
searched for many targets at once, which costs far less than one by one. A target is still only
tried on samples that no earlier group of targets has broken, and of several successes the one of
the earliest target counts, as in the original.
"""

import torch
from pyautoattack.fab_projections import projection_linf
from pyautoattack.fab_pt import FABAttack_PT
from torch import Tensor

TOGETHER = 2**16  # numbers in a batch up to which more targets at once are cheaper
NONE = 1e10  # distance of a sample without an adversarial, as in the original


class Fab(FABAttack_PT):
    """The original with its targeted Linf search without restarts replaced by an equal one."""

    @torch.no_grad()
    def perturb(self, x: Tensor, y: Tensor) -> Tensor:
        """Adversarials within eps where there are any, else the images x [B, C, H, W]."""
        if not self.targeted or self.n_restarts != 1:
            return super().perturb(x, y)
        found = x.clone()
        logits = self.predict(x)
        robust = logits.argmax(1) == y
        ranked = logits.sort(dim=1).indices
        next_rank, last = 2, self.n_target_classes + 1
        while next_rank <= last and robust.any():
            rows = robust.nonzero().squeeze(1)
            count = min(max(1, TOGETHER // x[rows].numel()), last + 1 - next_rank)
            targets = [ranked[rows, -rank] for rank in range(next_rank, next_rank + count)]
            points = self._search(x[rows].repeat(count, 1, 1, 1), y[rows], torch.cat(targets))
            for part in points.chunk(count):
                inside = (part - x[rows]).abs().flatten(1).amax(1) <= self.eps
                broken = inside & (self._get_predicted_label(part) != y[rows]) & robust[rows]
                found[rows[broken]] = part[broken]
                robust[rows[broken]] = False
            next_rank += count
        return found

    def _search(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Nearest points classified wrong for pairs (x, target), x itself where there are none.

        `y` has the labels of one group of pairs; the groups follow one another.
        """
        y = y.repeat(len(x) // len(y))
        best, distance = x.clone(), torch.full((len(x),), NONE, device=x.device)
        point, origin = x.clone(), x.flatten(1)
        shape = (-1, *[1] * (x.ndim - 1))
        for _ in range(self.n_iter):
            gap, gradient = self.get_diff_logits_grads_batch_targeted(point, y, target)
            normal = gradient.squeeze(1).flatten(1)
            offset = (normal * point.flatten(1)).sum(1) - gap.squeeze(1)
            steps = projection_linf(
                torch.cat((point.flatten(1), origin)), normal.repeat(2, 1), offset.repeat(2)
            )
            lengths = steps.abs().amax(1).clamp_min(1e-8).chunk(2)
            weight = (lengths[0] / (lengths[0] + lengths[1])).clamp(0, self.alpha_max).view(shape)
            near, far = (step.view_as(x) for step in steps.chunk(2))
            point = (point + self.eta * near) * (1 - weight) + (x + far * self.eta) * weight
            point = point.clamp(0, 1)
            wrong = self._get_predicted_label(point) != y
            norm = (point - x).abs().flatten(1).amax(1)
            better = wrong & (norm < distance)
            distance = torch.where(better, norm, distance)
            best = torch.where(better.view(shape), point, best)
            point = torch.where(wrong.view(shape), x + (point - x) * self.beta, point)
        return best
