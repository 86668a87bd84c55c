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
        self._previous: tuple[float, Tensor] | None = None

    def update(self, position: float, cost: Tensor) -> None:
        """Take in the costs [H,W] of the next candidate."""
        if self._previous is None:
            self.cost = cost
            self._positions = cost.new_full((3, *cost.shape), position)
            self._around = torch.stack([cost, cost])
            self._open = torch.ones_like(cost, dtype=torch.bool)
        else:
            self._extend(position, cost, *self._previous)
        self._previous = (position, cost)

    def _extend(self, position: float, cost: Tensor, before: float, cost_before: Tensor) -> None:
        if before == 0:
            # The candidate at 0 has its mirrored neighbour on the left.
            self._positions[0] = -position
            self._around[0] = cost
        self._positions[2] = torch.where(self._open, position, self._positions[2])
        self._around[1] = torch.where(self._open, cost, self._around[1])
        better = cost < self.cost
        self.cost = torch.where(better, cost, self.cost)
        for slot, value in enumerate((before, position, position)):
            self._positions[slot] = torch.where(better, value, self._positions[slot])
        self._around = torch.where(better, torch.stack([cost_before, cost]), self._around)
        self._open = better

    def vertex(self) -> Tensor:
        """Return the lowest point of the parabola through the three, [H,W], >= 0."""
        low, mid, high = self._positions
        left, right = mid - low, high - mid
        rise_left, rise_right = (self._around - self.cost).clamp(min=0)
        above = rise_left * right.square() - rise_right * left.square()
        below = 2 * (rise_left * right + rise_right * left)
        vertex = mid + torch.where(below > 0, above / below.clamp(min=1e-20), 0.0)
        return torch.clamp(vertex, min=(mid + low) / 2, max=(mid + high) / 2).clamp(min=0)
