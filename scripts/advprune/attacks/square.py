"""Square Attack (Andriushchenko et al. 2020, arXiv 1912.00049) without questions asked twice.

The original in `pyautoattack` proposes the same change of a square to all images and asks the net
about every image that is still robust. The answer is known, and the net need not be asked, where

- the change leaves the image as it is, because all its pixels are at the bound already, or
- the same change of the same image was turned down before. On images of few pixels that is soon
  true of nearly all changes.

Random numbers are drawn as in the original, so both make the same proposals. What remains is
rounding: the net may round the same image differently in a batch of another size.
"""

import math

import torch
from pyautoattack.square import SquareAttack
from torch import Tensor


class Square(SquareAttack):
    """The original with its Linf search replaced by an equal one."""

    @torch.no_grad()
    def attack_single_run(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (queries [B], the best points found [B, C, H, W]) for images x [B, C, H, W]."""
        _, c, h, w = x.shape
        low, high = x - self.eps, x + self.eps
        start = self.random_choice([len(x), c, 1, w])
        state = _State(torch.clamp(x + self.eps * start, 0.0, 1.0))
        state.margin, state.loss = self.margin_and_loss(state.best, y)
        queries, side = torch.ones(len(x), device=x.device), 0
        for query in range(self.n_queries):
            rows = state.robust()
            if len(rows) == 0:
                break
            queries[rows] += 1
            if side != (side := self._side(query, h, w)):
                state.forget((h - side + 1) * (w - side + 1) << c, self.n_queries)
            top, left, signs, key = self._propose(c, h - side, w - side, w)
            window = (..., slice(top, top + side), slice(left, left + side))
            rows = rows[state.untried(rows, key)]
            old = state.best[rows][window]
            new = old + 2.0 * self.eps * signs.to(x.device)
            new = torch.min(torch.max(new, low[rows][window]), high[rows][window])
            new = torch.clamp(new, 0.0, 1.0)
            changed = (new != old).flatten(1).any(1)
            rows, new = rows[changed], new[changed]
            if len(rows) == 0:
                continue
            point = state.best[rows]
            point[window] = new
            margin, loss = self.margin_and_loss(point, y[rows])
            state.answer(rows, point, margin, loss, key)
        return queries, state.best

    def _side(self, query: int, h: int, w: int) -> int:
        """Side of the square that is changed, in pixels."""
        return min(max(round(math.sqrt(self.p_selection(query) * h * w)), 1), h, w)

    def _propose(self, c: int, down: int, right: int, w: int) -> tuple[int, int, Tensor, int]:
        """(top, left, signs [C, 1, 1], a number for this proposal among those of one size)."""
        draws = torch.rand(2 + c)
        top, left = (draws[:2] * torch.tensor([down, right])).long().tolist()
        signs = torch.sign(2 * draws[2:] - 1)
        pattern = sum(1 << i for i, sign in enumerate(signs.tolist()) if sign > 0)
        return top, left, signs.view(-1, 1, 1), ((top * (right + 1) + left) << c) + pattern


class _State:
    """Best points and their values, and which proposals each has turned down."""

    def __init__(self, best: Tensor) -> None:
        self.best = best
        self.margin = self.loss = best.new_empty(0)
        self.tried: Tensor | None = None

    def robust(self) -> Tensor:
        return (self.margin > 0).nonzero().squeeze(1)

    def forget(self, proposals: int, queries: int) -> None:
        """Start anew for squares of another size; remember only what is likely to come again."""
        few = proposals <= queries
        shape = len(self.best), proposals
        self.tried = torch.zeros(shape, dtype=torch.bool, device=self.best.device) if few else None

    def untried(self, rows: Tensor, key: int) -> Tensor:
        if self.tried is None:
            return torch.ones_like(rows, dtype=torch.bool)
        return ~self.tried[rows, key]

    def answer(self, rows: Tensor, point: Tensor, margin: Tensor, loss: Tensor, key: int) -> None:
        """Take up the points with a lower loss, or beyond the boundary, as the new best ones."""
        better = loss < self.loss[rows]
        self.loss[rows] = torch.where(better, loss, self.loss[rows])
        better |= margin <= 0
        if self.tried is not None:
            self.tried[rows, key] = True
        if better.any():
            rows = rows[better]
            self.margin[rows], self.best[rows] = margin[better], point[better]
            if self.tried is not None:
                self.tried[rows] = False
