"""What every pixel's own costs say, before its neighbours are asked."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..matching.argmin import WinnerTakeAll
from ..matching.cost import to_full
from .adaptive_support import AdaptiveSupport

SAME = 0.1  # relative difference of two estimates that agree …
SAME_RADIUS = 0.75  # … or px of radius in the strongest frame


@dataclass(frozen=True, eq=False)
class Evidence:
    """What costs say at the blocks of a picture, or at some of its pixels.

    Attributes:
        log_costs: [C,h,w].
        offset: [h,w], 1/m, of the cheapest candidate.
        confidence: [h,w], 0…1, in it.
        floor: cost below which candidates do not differ.
    """

    log_costs: Tensor
    offset: Tensor
    confidence: Tensor
    floor: float

    @property
    def cost_range(self) -> Tensor:
        """How much worse than a perfect candidate the worst one matches, [h,w]."""
        return (self.log_costs.amax(0).exp() - self.floor).clamp(min=0) + self.floor


class Views:
    """Collects the costs of all candidates, seen in three ways that are weak at different places.

    The plain cost fails under a blurred foreground, the zero-mean one where there is little
    contrast, and the weakest frame far from focus.

    Args:
        count: of the candidates.
        floor: cost below which candidates do not differ.
        weakest: position of the frame of least strength; None for a focus stack, of which one frame
            fits on both sides of its plane, and all of them alike do not.
    """

    def __init__(self, count: int, floor: float, weakest: int | None) -> None:
        self._count, self._done = count, 0
        self._floor = floor
        self._first = weakest
        self._plain, self._zero_mean, self._weakest, self._both = (
            WinnerTakeAll() for _ in range(4)
        )

    def update(self, offset: float, plain: Tensor, zero_mean: Tensor, weights: Tensor) -> None:
        """Take in the costs [N,h,w] of the next candidate; weights of the frames are [N,1,1]."""
        mixed = _weighted(0.5 * weights, plain) + _weighted(0.5 * weights, zero_mean)
        self._plain.update(offset, _weighted(weights.sqrt(), plain))
        self._zero_mean.update(offset, _weighted(weights.sqrt(), zero_mean))
        self._weakest.update(offset, plain.mean(0) if self._first is None else plain[self._first])
        self._both.update(offset, mixed)
        if not self._done:
            self._log_costs = mixed.new_empty((self._count, *mixed.shape))
        torch.log(mixed + self._floor, out=self._log_costs[self._done])
        self._done += 1

    def evidence(self, offsets: list[float], strongest: float) -> Evidence:
        """Return what all candidates together say; `strongest` is the largest strength, px·m."""
        log_costs = self._log_costs
        best, plain = self._both.vertex(), self._plain.vertex()
        tolerance = SAME_RADIUS / strongest
        trusted = agree(plain, self._zero_mean.vertex(), tolerance)
        trusted = trusted & agree(plain, self._weakest.vertex(), tolerance)
        trust = trusted * distinctness(log_costs, offsets, best, tolerance)
        return Evidence(log_costs, best, trust, self._floor)


class Measurement:
    """What costs say at every pixel: of its block, or its own where colours are mixed.

    Costs of blocks are more exact, as they are of more pixels; a pixel's own count only where they
    prefer another candidate.

    Attributes:
        offsets: C candidates, 1/m, ascending from 0.
        offset: [H,W], 1/m, of the cheapest candidate.
        confidence: [H,W], 0…1, in it.
        cost_range: [H,W], how much worse than a perfect candidate the worst one matches.

    Args:
        offsets: C candidates, 1/m, ascending from 0.
        blocks: of blocks of 2 x 2 pixels, [C,h,w].
        own: of the pixels of `support`, [C,1,n].
        support: pixels with costs of their own.
        height: of the picture, px.
    """

    def __init__(
        self,
        offsets: list[float],
        blocks: Evidence,
        own: Evidence,
        support: AdaptiveSupport,
        height: int,
    ) -> None:
        self.offsets = offsets
        self._width = support.width
        self._blocks = blocks.log_costs
        self.offset, self.confidence, self.cost_range = (
            plane.repeat_interleave(2, 0).repeat_interleave(2, 1)[:height, : self._width].clone()
            for plane in (blocks.offset, blocks.confidence, blocks.cost_range)
        )
        of_block = self.offset.flatten()[support.pixels]
        apart = labels_of(own.offset[0], offsets) - labels_of(of_block, offsets)
        at_pixels = torch.where(apart.abs() > 1, own.offset[0], of_block)
        self._pixels, self._own = support.pixels, own.log_costs[:, 0]
        self._parts: dict[tuple[int, int], tuple[int, ...]] = {}  # of the pixels, by rows
        self.offset.view(-1)[self._pixels] = at_pixels
        self.confidence.view(-1)[self._pixels] = own.confidence[0]
        self.cost_range.view(-1)[self._pixels] = own.cost_range[0]

    def log_costs(self, rows: tuple[int, int]) -> Tensor:
        """Return the log-costs of a strip of rows, [C,rows,W]; the first row is even."""
        full = to_full(self._blocks, self._width, rows)
        if rows not in self._parts:
            ends = self._pixels.new_tensor([self._width * row for row in rows])
            self._parts[rows] = tuple(torch.searchsorted(self._pixels, ends).tolist())
        first, last = self._parts[rows]
        places = self._pixels[first:last]
        row, column = places // self._width - rows[0], places % self._width
        full[:, row, column] = self._own[:, first:last]
        return full


def labels_of(offset: Tensor, offsets: list[float]) -> Tensor:
    """Return offsets as positions among the candidates, 0…C−1, with fractions."""
    ladder = torch.tensor(offsets, dtype=offset.dtype, device=offset.device)
    above = torch.bucketize(offset, ladder).clamp(1, len(offsets) - 1)
    low, high = ladder[above - 1], ladder[above]
    return above - 1 + ((offset - low) / (high - low)).clamp(0, 1)


def distinctness(log_costs: Tensor, offsets: list[float], best: Tensor, tolerance: float) -> Tensor:
    """Return 0…1: how much cheaper the best candidate is than any that is clearly another."""
    gap = (SAME * best).clamp(min=tolerance) * 2
    rival = torch.zeros_like(best)  # log-cost of a mismatch beyond every cap
    for offset, cost in zip(offsets, log_costs, strict=True):
        rival = torch.where((best - offset).abs() > gap, torch.minimum(rival, cost), rival)
    return 1 - torch.exp(log_costs.amin(0) - rival)


def _weighted(weights: Tensor, planes: Tensor) -> Tensor:
    """Return the weighted sum of planes [N,h,w], [h,w]; weights are [N,1,1]."""
    return (weights.flatten() @ planes.flatten(1)).view(planes.shape[1:])


def agree(one: Tensor, other: Tensor, tolerance: float) -> Tensor:
    """Return whether two offsets, [H,W], are the same within a tenth or `tolerance`, 1/m."""
    return (one - other).abs() < (SAME * torch.maximum(one, other)).clamp(min=tolerance)
