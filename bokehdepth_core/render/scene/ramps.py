"""The ramps of soft depth edges: the pixels between the two ends of each, and where the ends are.

From every pixel one climbs from neighbour to highest neighbour until the ground levels off, and
down likewise. What rises evenly for long is a slope, and what rises at once is a hard edge.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import rows_at_once
from ...callbacks import CheckCancelled
from .discontinuities import largest_within
from .symmetry import CORNERS, SIDES, Order, highest_of

RAMP_RADIUS = 16  # px to either side within which a ramp must end
LEVEL_OFF = 0.2  # times its steepest step; a ramp has ended where it rises by less
STRAIGHT = 10  # px; what rises evenly for longer than this is a slope, not a soft edge
EVEN = 0.75  # mean step over steepest step from which a ramp counts as straight
STEEPEST = 0.45  # of the whole rise from a pixel to one beside it: the edge is hard already
SMALLEST_RISE = 0.05  # of the near side's disparity: less is no depth edge
CELL = 8  # px, of the squares whose surroundings tell whether ways within are worth following
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
        way: uint8, number in `_WAYS` of the highest neighbour of eight.
        step: rise to it, 0 where none is higher.
        rise: to the highest neighbour of the four beside, above and below, 0 where none is higher.
    """

    way: Tensor
    step: Tensor
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
    disparity: Tensor, order: Order, visible: Tensor, check_cancelled: CheckCancelled
) -> Ramps:
    """Return the soft edges of disparity [H,W]: neither hard edges nor slopes nor noise."""
    flat, columns = disparity.flatten(), disparity.shape[1]
    uphill, downhill = (_ground(plane, order) for plane in (disparity, -disparity))
    on_a_way = torch.minimum(uphill.step, downhill.step)
    on_a_way = on_a_way > NOISE * torch.maximum(uphill.step, downhill.step)
    worth, height = _worth_following(disparity, (uphill, downhill), visible)
    pixel = (on_a_way.view_as(disparity) & worth).flatten().nonzero()[:, 0]
    check_cancelled()
    up = _climb(uphill, downhill, pixel, columns)
    check_cancelled()
    # An edge that is hard even for all the height around need not be followed down.
    ended = (up.count < RAMP_RADIUS) & (up.straight < STEEPEST * height.flatten()[pixel])
    pixel, up = pixel[ended], up.where(ended)
    down = _climb(downhill, uphill, pixel, columns)
    total, length = flat[up.last] - flat[down.last], up.count + down.count
    ramp = down.count < RAMP_RADIUS
    ramp &= torch.maximum(up.straight, down.straight) < STEEPEST * total
    ramp &= total > SMALLEST_RISE * flat[up.last]
    ramp &= total > visible
    even = total >= EVEN * length * torch.maximum(up.steepest, down.steepest)
    ramp &= (length <= STRAIGHT) | ~even
    return Ramps(pixel[ramp], up.last[ramp], down.last[ramp], length[ramp])


def _worth_following(
    disparity: Tensor, grounds: tuple[_Ground, _Ground], visible: Tensor
) -> tuple[Tensor, Tensor]:
    """Return where the way over a pixel may be a ramp's, [H,W], bool, and the height around it.

    On an even slope all steps around are alike, and no way over it levels off. Nor is a rise an edge
    that is too small. Both are told from squares, so of more than `RAMP_RADIUS` px around.

    Returns:
        The mask, and [H,W], 1/m, the rise from the lowest to the highest disparity around.
    """
    reach = -(-RAMP_RADIUS // CELL)

    def around(plane: Tensor) -> Tensor:
        """Return the largest value in the squares around each one."""
        square = F.max_pool2d(plane[None], CELL, ceil_mode=True)[0]
        return largest_within(square, reach)

    height = around(disparity) + around(-disparity)
    worth = height > visible
    for ground in grounds:
        step = ground.step.view_as(disparity)
        worth &= -around(-step) <= LEVEL_OFF * around(step)
    return _of_pixels(worth, disparity), _of_pixels(height, disparity)


def _of_pixels(squares: Tensor, like: Tensor) -> Tensor:
    """Return a plane like another of what its squares hold."""
    height, width = squares.shape
    each = squares[:, None, :, None].expand(height, CELL, width, CELL)
    return each.reshape(height * CELL, width * CELL)[: like.shape[0], : like.shape[1]]


def _ground(height: Tensor, order: Order) -> _Ground:
    """Return a plane [H,W] as a ground to climb.

    Of neighbours as high the way goes to one that shares a side, then to that of the highest order.
    """
    rows, columns = height.shape
    wide = F.pad(height[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    way, tied = (torch.empty(rows, columns, dtype=torch.uint8).to(height.device) for _ in "wt")
    step, rise = torch.empty_like(height), torch.empty_like(height)
    for part in rows_at_once(rows, columns, height.device):
        seen = wide[part.start : part.stop + 2]
        own = _beside(seen, 0, 0)
        straight, side, sides_tied = _highest_of(seen, SIDES)
        diagonal, corner, corners_tied = _highest_of(seen, CORNERS)
        aslant = (diagonal > straight).view(torch.uint8)
        # Bytes in place of masks: to choose by a mask takes many times as long on a processor.
        way[part] = side + aslant * (corner + len(SIDES) - side)
        torch.sub(torch.maximum(straight, own), own, out=rise[part])
        torch.sub(torch.maximum(diagonal, straight).maximum(own), own, out=step[part])
        tied[part] = sides_tied + aslant * (corners_tied - sides_tied)
    tied = tied.view(torch.bool).logical_and_(step > 0)
    ground = _Ground(way.flatten(), step.flatten(), rise.flatten())
    _break_ties(ground.way, tied, wide, order)
    return ground


def _highest_of(
    wide: Tensor, offsets: tuple[tuple[int, int], ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the highest of some neighbours, its number, and 1 where several are: uint8, [h,w].

    Args:
        wide: [h + 2,w + 2], heights with a border of one px.
        offsets: (dy, dx) to the neighbours.
    """
    best = _beside(wide, *offsets[0])
    number, tied = (torch.zeros_like(best, dtype=torch.uint8) for _ in range(2))
    for index, (dy, dx) in enumerate(offsets[1:], 1):
        other = _beside(wide, dy, dx)
        higher = (other > best).view(torch.uint8)
        number = torch.maximum(number, higher * index)
        tied = tied.mul_(1 - higher).bitwise_or_((other == best).view(torch.uint8))
        best = torch.maximum(best, other)
    return best, number, tied


def _break_ties(way: Tensor, tied: Tensor, wide: Tensor, order: Order) -> None:
    """Let the ways of pixels that have several highest neighbours go to that of the highest order.

    Args:
        way: [H·W], uint8, written into.
        tied: [H,W], bool.
        wide: [H + 2,W + 2], heights with a border of one px.
        order: of the pixels.
    """
    pixel = tied.flatten().nonzero()[:, 0]
    if not len(pixel):
        return
    columns = tied.shape[1]
    row, column = pixel // columns, pixel % columns
    aslant = way[pixel] >= len(SIDES)
    for first, offsets, those in ((0, SIDES, ~aslant), (len(SIDES), CORNERS, aslant)):
        some = those.nonzero()[:, 0]
        at = row[some], column[some]
        heights = torch.stack([wide[at[0] + 1 + dy, at[1] + 1 + dx] for dy, dx in offsets])
        number = highest_of(heights, offsets, at, (tied.shape[0], columns), order)
        way[pixel[some]] = (number + first).to(way.dtype)


def _beside(plane: Tensor, dy: int, dx: int) -> Tensor:
    """Return the neighbours (dy, dx) beside each pixel, of a plane with a border of one px."""
    rows, columns = plane.shape
    return plane[1 + dy : rows - 1 + dy, 1 + dx : columns - 1 + dx]


def _climb(ground: _Ground, inverse: _Ground, start: Tensor, columns: int) -> _Climb:
    """Climb from pixel to highest neighbour until the ground levels off.

    It takes at most `RAMP_RADIUS` steps. A diagonal step crosses a slanted soft edge by two pixels
    at once. So how hard the edge is, is read from pixels that share a side: those beside the
    diagonal lie half-way on a soft edge, and all the way up or down on a hard one.

    Args:
        ground: to climb.
        inverse: the same upside down.
        start: [M], indices to start from.
        columns: of the plane.
    """
    offsets = torch.tensor([dy * columns + dx for dy, dx in (*SIDES, *CORNERS)]).to(start.device)
    last, count = start.clone(), torch.zeros_like(start)
    steepest = torch.zeros_like(start, dtype=ground.step.dtype)
    straight = torch.zeros_like(steepest)
    # Of the ways that go on: their numbers, places and steps so far.
    moving, here = torch.arange(len(start), device=start.device), start
    so_far, so_straight = steepest, straight
    for done in range(RAMP_RADIUS):
        step = ground.step.index_select(0, here)
        on = (step > LEVEL_OFF * so_far).nonzero()[:, 0]
        moving, here, step, so_far, so_straight = (
            one.index_select(0, on) for one in (moving, here, step, so_far, so_straight)
        )
        way = ground.way.index_select(0, here)
        ahead = here + offsets.index_select(0, way.int())
        so_far = torch.maximum(so_far, step)
        rise, fall = ground.rise.index_select(0, here), inverse.rise.index_select(0, ahead)
        so_straight = torch.maximum(so_straight, torch.maximum(rise, fall).minimum(step))
        last[moving], count[moving] = ahead, done + 1
        steepest[moving], straight[moving] = so_far, so_straight
        here = ahead
    return _Climb(last, count, steepest, straight)
