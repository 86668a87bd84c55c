"""The ramps of soft depth edges: the pixels between the two ends of each, and where the ends are.

From every pixel one climbs from neighbour to highest neighbour until the ground levels off, and
down likewise. What rises evenly for long is a slope, and what rises at once is a hard edge.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import AT_ONCE, Box
from ...callbacks import CheckCancelled
from .discontinuities import largest_within, pixels_at_once
from .symmetry import CORNERS, SIDES, Order, highest_by_order

RAMP_RADIUS = 16  # px to either side within which a ramp must end
LEVEL_OFF = 0.2  # times its steepest step; a ramp has ended where it rises by less
STRAIGHT = 10  # px; what rises evenly for longer than this is a slope, not a soft edge
EVEN = 0.75  # mean step over steepest step from which a ramp counts as straight
STEEPEST = 0.45  # of the whole rise from a pixel to one beside it: the edge is hard already
SMALLEST_RISE = 0.05  # of the near side's disparity: less is no depth edge
CELL = 8  # px, of the squares whose surroundings tell whether ways within are worth following
_SQUARES = -(-RAMP_RADIUS // CELL)  # that a way goes on for at most
_WAYS = (*SIDES, *CORNERS)  # offsets (dy, dx) of a step
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
        """Return the ways of a mask [M], or of some numbers."""
        return _Climb(self.last[mask], self.count[mask], self.steepest[mask], self.straight[mask])

    def write(self, number: Tensor, ways: "_Climb") -> None:
        """Put other ways in place of those of some numbers."""
        for whole, part in zip(vars(self).values(), vars(ways).values(), strict=True):
            whole[number] = part


def find_ramps(
    disparity: Tensor, order: Order, visible: Tensor, check_cancelled: CheckCancelled
) -> Ramps:
    """Return the soft edges of disparity [H,W]: neither hard edges nor slopes nor noise."""
    rise, fall = (largest_within(one, 1).sub_(one) for one in (disparity, -disparity))
    on_a_way = torch.minimum(rise, fall) > NOISE * torch.maximum(rise, fall)
    worth, height = _worth_following(disparity, (rise, fall), visible)
    on_a_way &= _for_each_pixel(worth, disparity)
    places = _boxes_around(on_a_way)
    grounds = (
        _ground(disparity, rise, places, order),
        _ground(-disparity, fall, places, order),
    )
    pixel = on_a_way.flatten().nonzero()[:, 0]
    if not len(pixel):
        return Ramps(pixel, pixel, pixel, pixel)
    found: list[list[Tensor]] = [[], [], [], []]  # by what is told of ramps, as `Ramps`
    for part in pixels_at_once(len(pixel), 1, disparity):
        check_cancelled()
        some = _ramps_over(pixel[part], grounds, disparity, height, visible)
        for parts, one in zip(found, vars(some).values(), strict=True):
            parts.append(one)
    # Parts are let go as they are joined: ramps may lead over most pixels.
    del pixel, grounds, rise, fall, on_a_way
    return Ramps(*(torch.cat(found.pop(0)) for _ in range(len(found))))


def _ramps_over(
    pixel: Tensor,
    grounds: tuple[_Ground, _Ground],
    disparity: Tensor,
    height: Tensor,
    visible: Tensor,
) -> Ramps:
    """Return the ramps that lead over some pixels, [M].

    Args:
        pixel: [M], flat indices.
        grounds: the disparity as a ground to climb, and upside down.
        disparity: [H,W], 1/m.
        height: [h,w], 1/m, more than which no ramp rises from a square.
        visible: 1/m, the rise above which an edge is one.
    """
    flat, columns = disparity.flatten(), disparity.shape[1]
    uphill, downhill = grounds
    up = _climb(uphill, downhill, pixel, columns)
    # An edge that is hard even for all the height around need not be followed down.
    highest = height[pixel // columns // CELL, pixel % columns // CELL]
    ended = (up.count < RAMP_RADIUS) & (up.straight < STEEPEST * highest)
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
    disparity: Tensor, steps: tuple[Tensor, Tensor], visible: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the squares in which a way may be a ramp's, [h,w], bool, and the height around them.

    On an even slope all steps around are alike, and no way over it levels off. Nor is a rise that
    is too small an edge. Squares around tell both, and no more is left out than may be.

    Returns:
        The mask, and [h,w], 1/m, the rise from the lowest to the highest disparity around.
    """

    def around(plane: Tensor) -> Tensor:
        """Return the largest value in the squares around each one."""
        return largest_within(_largest_in_squares(plane), _SQUARES)

    height = around(disparity) + around(-disparity)
    worth = height > visible
    for step in steps:
        worth &= -around(-step) <= LEVEL_OFF * around(step)
    return worth, height


def _largest_in_squares(plane: Tensor) -> Tensor:
    """Return the largest value in each square of `CELL` px, [⌈H/CELL⌉,⌈W/CELL⌉] of [H,W]."""
    down, right = (-side % CELL for side in plane.shape)
    if down or right:
        plane = F.pad(plane[None, None], (0, right, 0, down), mode="replicate")[0, 0]
    height, width = plane.shape
    lines = plane.view(height // CELL, CELL, width).amax(1)
    return lines.view(height // CELL, width // CELL, CELL).amax(2)


def _boxes_around(mask: Tensor) -> list[Box]:
    """Return boxes that hold all within `RAMP_RADIUS` px of a mask [H,W], bool.

    On a processor they are strips as high as its cache has room for rows; elsewhere one box is all.
    """
    height, width = mask.shape
    if mask.device.type != "cpu":
        return [(slice(0, height), slice(0, width))]
    squares = largest_within(_largest_in_squares(mask.float()), _SQUARES) > 0
    count, boxes = max(1, AT_ONCE // (CELL * width)), []
    for top in range(0, len(squares), count):
        columns = squares[top : top + count].any(0).tolist()
        starts = [at for at, one in enumerate(columns) if one and not (at and columns[at - 1])]
        for left in starts:
            right = next((at for at in range(left, len(columns)) if not columns[at]), len(columns))
            rows = slice(top * CELL, min(height, (top + count) * CELL))
            boxes.append((rows, slice(left * CELL, min(width, right * CELL))))
    return boxes


def _for_each_pixel(squares: Tensor, like: Tensor) -> Tensor:
    """Return a plane like another of what its squares hold."""
    for axis, side in enumerate(like.shape):
        squares = squares.index_select(axis, torch.arange(side, device=like.device) // CELL)
    return squares


def _ground(height: Tensor, step: Tensor, places: list[Box], order: Order) -> _Ground:
    """Return a plane [H,W] as a ground to climb at some places.

    Of neighbours as high the way goes to one that shares a side, then to that of the highest order.

    Args:
        height: [H,W].
        step: [H,W], rise to the highest neighbour.
        places: where ways go; elsewhere the ground is unknown.
        order: of the pixels.
    """
    wide = F.pad(height[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    way, tied = (torch.zeros_like(height, dtype=torch.uint8) for _ in range(2))
    rise = torch.zeros_like(height)
    for place in places:
        rows, columns = place
        seen = wide[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        own = _beside(seen, 0, 0)
        straight, side, sides_tied = _highest_neighbour(seen, SIDES)
        diagonal, corner, corners_tied = _highest_neighbour(seen, CORNERS)
        aslant = (diagonal > straight).view(torch.uint8)
        # Bytes in place of masks: to choose by a mask takes many times as long on a processor.
        way[place] = side + aslant * (corner + len(SIDES) - side)
        torch.sub(torch.maximum(straight, own), own, out=rise[place])
        tied[place] = sides_tied + aslant * (corners_tied - sides_tied)
    tied = tied.view(torch.bool).logical_and_(step > 0)
    ground = _Ground(way.flatten(), step.flatten(), rise.flatten())
    _break_ties(ground.way, tied, wide, order)
    return ground


def _highest_neighbour(
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
        number = highest_by_order(heights, offsets, at, (tied.shape[0], columns), order)
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
    offsets = torch.tensor([dy * columns + dx for dy, dx in _WAYS]).to(start.device)
    found = _Climb(
        start.clone(),
        torch.zeros_like(start),
        *(torch.zeros_like(start, dtype=ground.step.dtype) for _ in range(2)),
    )
    # Of the ways that may go on: their numbers, and what they are so far. Once a way has ended it
    # stays where it is, so ways need not be parted at each step.
    number = torch.arange(len(start), device=start.device)
    so_far = found.where(number)
    for _ in range(RAMP_RADIUS):
        step = ground.step.index_select(0, so_far.last)
        goes_on = step > LEVEL_OFF * so_far.steepest
        going = int(goes_on.sum())
        if 2 * going < len(number):
            found.write(number, so_far)
            on = goes_on.nonzero()[:, 0]
            number, so_far, step = number[on], so_far.where(on), step[on]
            goes_on = goes_on[on]
        if not going:
            break
        on = goes_on.view(torch.uint8)
        way = offsets.index_select(0, ground.way.index_select(0, so_far.last).int())
        ahead = way.mul_(on).add_(so_far.last)
        rise = ground.rise.index_select(0, so_far.last)
        rise = torch.maximum(rise, inverse.rise.index_select(0, ahead)).minimum(step).mul_(on)
        so_far = _Climb(
            ahead,
            so_far.count + on,
            torch.maximum(so_far.steepest, step),
            torch.maximum(so_far.straight, rise),
        )
    found.write(number, so_far)
    return found
