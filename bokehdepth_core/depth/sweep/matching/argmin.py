"""Winner-take-all over a cost volume, one slice at a time: each pixel's cheapest candidate.

The slices need not be kept: only the best candidate so far and its two neighbours are, which is
enough for a parabola that places the minimum between candidates.
"""

import torch
from torch import Tensor


class WinnerTakeAll:
    """Keeps each pixel's cheapest candidate with its two neighbours.

    Candidates come in ascending order from 0, and cost is even in them: a PSF of radius −r is one
    of radius r.

    Example:
        >>> best = WinnerTakeAll()
        >>> for position in (0.0, 1.0, 2.0):
        ...     best.update(position, torch.full((1, 1), (position - 1.2) ** 2))
        >>> round(float(best.vertex()), 3)
        1.2

    """

    def __init__(self) -> None:
        self._ladder: list[float] = []

    def update(self, position: float, cost: Tensor) -> None:
        """Take in the costs [H,W] of the next candidate, which stay as they are."""
        if not self._ladder:
            self.cost = cost.clone()
            self._around = [cost, cost.clone()]
            self._best = torch.zeros_like(cost, dtype=torch.int16)
            self._open = torch.ones_like(cost, dtype=torch.bool)
        else:
            self._extend(cost)
        self._ladder.append(position)
        self._previous = cost

    def _extend(self, cost: Tensor) -> None:
        left, right = self._around
        better = cost < self.cost
        if len(self._ladder) == 1:
            # The candidate at 0 has its mirrored neighbour on the left.
            left = (cost if self._ladder[0] == 0 else left).clone()
        torch.where(better, self._previous, left, out=left)
        torch.where(self._open | better, cost, right, out=right)
        torch.minimum(self.cost, cost, out=self.cost)
        self._best.masked_fill_(better, len(self._ladder))
        self._around, self._open = [left, right], better

    def vertex(self) -> Tensor:
        """Return the lowest point of the parabola through the three, [H,W], >= 0."""
        ladder = self._ladder
        first = -ladder[1] if ladder[0] == 0 and len(ladder) > 1 else ladder[0]
        # A candidate at an end has no neighbour there, and is its own.
        low, mid, high = (
            self.cost.new_tensor(around)[self._best.long()]
            for around in ([first, *ladder[:-1]], ladder, [*ladder[1:], ladder[-1]])
        )
        left, right = mid - low, high - mid
        rise_left, rise_right = ((around - self.cost).clamp(min=0) for around in self._around)
        above = rise_left * right.square() - rise_right * left.square()
        below = 2 * (rise_left * right + rise_right * left)
        vertex = mid + torch.where(below > 0, above / below.clamp(min=1e-20), 0.0)
        return torch.clamp(vertex, min=(mid + low) / 2, max=(mid + high) / 2).clamp(min=0)
