"""The ramps of soft depth edges: the pixels between the two ends of each, and where the ends are.

From every pixel one climbs from neighbour to highest neighbour until the ground levels off, and
down likewise. What rises evenly for long is a slope, and what rises at once is a hard edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import rows_at_once
from ...callbacks import CheckCancelled
from .discontinuities import largest_within
from .symmetry import CORNERS, ORDERS, SIDES

RAMP_RADIUS = 16  # px to either side within which a ramp must end
LEVEL_OFF = 0.2  # times its steepest step; a ramp has ended where it rises by less
STRAIGHT = 10  # px; what rises evenly for longer than this is a slope, not a soft edge
EVEN = 0.75  # mean step over steepest step from which a ramp counts as straight
STEEPEST = 0.45  # of the whole rise from a pixel to one beside it: the edge is hard already
SMALLEST_RISE = 0.05  # of the near side's disparity: less is no depth edge
NOISE = 0.05  # smaller of a pixel's two steps over the larger: less is a plateau beside an edge


@dataclass(frozen=True, eq=False)
class Ramps:
    """The pixels of soft edges, and where their ramps end; flat indices, [N] each.

    Attributes:
        pixel: of the ramp.
        near_end: pixel of highest disparity on its way up.
        far_end: pixel of lowest disparity on its way down.
        length: steps from the one end to the other.
    """

    pixel: Tensor
    near_end: Tensor
    far_end: Tensor
    length: Tensor


@dataclass(frozen=True, eq=False)
class _Ground:
    """Disparity or its negative as a ground to climb; of all pixels, [H·W] each.

    Attributes:
        height: of each pixel.
        higher: flat index of its highest neighbour of eight.
        rise: to its highest neighbour of the four beside, above and below it.
    """

    height: Tensor
    higher: Tensor
    rise: Tensor


@dataclass(frozen=True, eq=False)
class _Climb:
    """The ways up from some pixels, [M] each.

    Attributes:
        last: flat index of the last pixel.
        count: number of steps.
        steepest: the largest step, diagonal ones too.
        straight: the largest rise on the way between pixels that share a side.
    """

    last: Tensor
    count: Tensor
    steepest: Tensor
    straight: Tensor

    def where(self, mask: Tensor) -> "_Climb":
        """Return the ways of a mask [M]."""
        return _Climb(self.last[mask], self.count[mask], self.steepest[mask], self.straight[mask])


def find_ramps(
    disparity: Tensor, order: Tensor, visible: Tensor, check_cancelled: CheckCancelled
) -> Ramps:
    """Return the soft edges of disparity [H,W]: neither hard edges nor slopes nor noise."""
    flat = disparity.flatten()
    uphill, downhill = _grounds(disparity, order)
    rise, fall = flat[uphill.higher] - flat, flat - flat[downhill.higher]
    on_a_way = torch.minimum(rise, fall) > NOISE * torch.maximum(rise, fall)
    for step in (rise, fall):
        on_a_way &= _may_level_off(step.view_as(disparity)).flatten()
    pixel = on_a_way.nonzero()[:, 0]
    check_cancelled()
    up = _climb(uphill, downhill, pixel)
    check_cancelled()
    ended = up.count < RAMP_RADIUS
    pixel, up = pixel[ended], up.where(ended)
    down = _climb(downhill, uphill, pixel)
    total, length = flat[up.last] - flat[down.last], up.count + down.count
    ramp = down.count < RAMP_RADIUS
    ramp &= torch.maximum(up.straight, down.straight) < STEEPEST * total
    ramp &= total > SMALLEST_RISE * flat[up.last]
    ramp &= total > visible
    even = total >= EVEN * length * torch.maximum(up.steepest, down.steepest)
    ramp &= (length <= STRAIGHT) | ~even
    return Ramps(pixel[ramp], up.last[ramp], down.last[ramp], length[ramp])


def _may_level_off(step: Tensor) -> Tensor:
    """Return where the ground may level off within `RAMP_RADIUS` steps, [H,W], bool.

    On an even slope all steps around are alike, and no way over it needs to be followed.

    Args:
        step: [H,W], from every pixel to its highest neighbour.
    """
    smallest, largest = -largest_within(-step, RAMP_RADIUS), largest_within(step, RAMP_RADIUS)
    return smallest <= LEVEL_OFF * largest


def _grounds(disparity: Tensor, order: Tensor) -> tuple[_Ground, _Ground]:
    """Return disparity [H,W] as a ground to climb, and upside down."""
    height, width = disparity.shape
    heights, orders = (
        F.pad(plane[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
        for plane in (disparity, order)
    )
    itself = torch.arange(height * width, device=disparity.device).view_as(disparity)
    ways = [itself, itself.clone()]
    rises = [torch.empty_like(disparity), torch.empty_like(disparity)]
    for rows in rows_at_once(height, width, disparity.device):
        seen = slice(rows.start, rows.stop + 2)
        # Numbers that rise with the disparity, which is no less than 0, and where it is equal with
        # the order: its bits, and those of the order below them.
        bits, below = heights[seen].view(torch.int32).long() * ORDERS, orders[seen].long()
        for own, rank, way, rise in (
            (heights[seen], bits + below, ways[0], rises[0]),
            (-heights[seen], below - bits, ways[1], rises[1]),
        ):
            step, rise[rows] = _highest_neighbour(own, rank)
            way[rows] += step
    up, down = (
        _Ground(plane.flatten(), way.flatten(), rise.flatten())
        for plane, way, rise in zip((disparity, -disparity), ways, rises, strict=True)
    )
    return up, down


def _highest_neighbour(heights: Tensor, ranks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step to the highest neighbour, 0 where none is higher, and the rise, [h,w] each.

    Of neighbours as high the way goes to one that shares a side, then to that of the highest order.
    The rise is that to the highest of the four neighbours that share a side.

    Args:
        heights: [h + 2,w + 2], with a border of one px.
        ranks: [h + 2,w + 2], int64, which rise with the height and the order.
    """
    columns, own = heights.shape[1] - 2, _beside(heights, 0, 0)

    def highest(offsets: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Return how high the highest neighbour is, and the step to it in flat indices."""
        first, best = (
            reduce(torch.maximum, [_beside(plane, dy, dx) for dy, dx in offsets])
            for plane in (ranks, heights)
        )
        step = torch.zeros_like(first, dtype=torch.int32)
        for dy, dx in reversed(offsets):
            step.masked_fill_(_beside(ranks, dy, dx) == first, dy * columns + dx)
        return best, step

    straight, way = highest(SIDES)
    diagonal, aslant = highest(CORNERS)
    way = torch.where(diagonal > straight, aslant, way)
    return way.masked_fill_(torch.maximum(diagonal, straight) <= own, 0), straight - own


def _beside(plane: Tensor, dy: int, dx: int) -> Tensor:
    """Return the neighbours (dy, dx) beside each pixel, of a plane with a border of one px."""
    rows, columns = plane.shape
    return plane[1 + dy : rows - 1 + dy, 1 + dx : columns - 1 + dx]


def _climb(ground: _Ground, inverse: _Ground, start: Tensor) -> _Climb:
    """Climb from pixel to highest neighbour until the ground levels off.

    It takes at most `RAMP_RADIUS` steps. A diagonal step crosses a slanted soft edge by two pixels
    at once. So how hard the edge is, is read from pixels that share a side: those beside the
    diagonal lie half-way on a soft edge, and all the way up or down on a hard one.

    Args:
        ground: to climb.
        inverse: the same upside down.
        start: [M], indices to start from.
    """
    last, count = start.clone(), torch.zeros_like(start)
    steepest = torch.zeros_like(start, dtype=ground.height.dtype)
    straight = torch.zeros_like(steepest)
    # Of the ways that go on: their numbers, places and steps so far.
    moving, here = torch.arange(len(start), device=start.device), start
    so_far, so_straight = steepest, straight
    for done in range(RAMP_RADIUS):
        ahead = ground.higher[here]
        step = ground.height[ahead] - ground.height[here]
        on = ((step > 0) & (step > LEVEL_OFF * so_far)).nonzero()[:, 0]
        moving, here, ahead, step = moving[on], here[on], ahead[on], step[on]
        so_far = torch.maximum(so_far[on], step)
        beside = torch.maximum(ground.rise[here], inverse.rise[ahead]).minimum(step)
        so_straight = torch.maximum(so_straight[on], beside)
        last[moving], count[moving] = ahead, done + 1
        steepest[moving], straight[moving] = so_far, so_straight
        here = ahead
    return _Climb(last, count, steepest, straight)
