"""For every pixel the nearest place where background that it occludes is in view.

Behind a near thing the photo shows nothing. What is there is taken from where it comes into view:
the nearest pixel on the far side of a depth edge whose surface lies behind the pixel's own.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import Box, bounding_box, box_around
from ...callbacks import CheckCancelled, never_cancelled
from .discontinuities import EDGE_STEP, largest_within
from .symmetry import CORNERS, SIDES

NOTHING = 1e15  # px, in place of infinity, which would turn products into NaN


@dataclass(frozen=True, eq=False)
class NearestBackground:
    """For every pixel the nearest place where background that it occludes is in view.

    Attributes:
        row: [H,W], px; the pixel's own where there is none.
        column: [H,W], px, likewise.
        distance: [H,W], px; infinity where there is none.
    """

    row: Tensor
    column: Tensor
    distance: Tensor


@dataclass(frozen=True, eq=False)
class _Seeds:
    """The pixels that may be found, and one more, the last, that stands for none; [S] each.

    They are sorted: of two that are as near, the one of the lower number is taken.

    Attributes:
        row: px.
        column: px.
        defocus: px; `NOTHING` of the last.
    """

    row: Tensor
    column: Tensor
    defocus: Tensor


def search_radius(psf_radius: float) -> float:
    """Return how far, px, background in view is searched for when PSFs are `psf_radius` px wide."""
    return 1.5 * psf_radius + 3


def find_nearest_background(
    defocus: Tensor,
    far_side: Tensor,
    order: Tensor,
    radius: float,
    check_cancelled: CheckCancelled = never_cancelled,
) -> NearestBackground:
    """Return for every pixel the nearest far-side edge pixel of a surface that lies behind it.

    Of several as near it is the one farthest behind, then that of the highest order.

    Args:
        defocus: [H,W], px, front positive.
        far_side: [H,W], bool, the far side of depth edges.
        order: [H,W], by which one of pixels as near is taken (`order_of`).
        radius: px, of the search.
        check_cancelled: raises to stop.
    """
    longest = 1 << max(0, int(radius).bit_length() - 1)
    side = max(defocus.shape)
    steps = [longest >> k for k in range(longest.bit_length()) if longest >> k < side] + [1]
    row, column = (plane.clone() for plane in pixel_grid(defocus))
    distance = torch.full_like(defocus, torch.inf)
    reach = min(sum(steps), side)
    nearest_behind = -largest_within(-defocus.masked_fill(~far_side, torch.inf), reach)
    wanted = nearest_behind < defocus - EDGE_STEP
    box = bounding_box(wanted)
    if box is not None:
        around = box_around(box, reach, (defocus.shape[0], defocus.shape[1]))
        seeds, places = _sorted_seeds(defocus, far_side, order, around)
        found, square = _flood(
            seeds, places, defocus[around], wanted[around], steps, check_cancelled
        )
        near = square <= radius * radius
        pixels = wanted.nonzero()[near].unbind(1)
        row[pixels] = seeds.row[found[near]] + around[0].start
        column[pixels] = seeds.column[found[near]] + around[1].start
        distance[pixels] = square[near].sqrt()
    return NearestBackground(row, column, distance)


def pixel_grid(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and the column of every pixel of a plane [H,W], px, float32."""
    height, width = like.shape
    rows = torch.arange(height, dtype=torch.float32, device=like.device)
    columns = torch.arange(width, dtype=torch.float32, device=like.device)
    return rows[:, None].expand(height, width), columns[None, :].expand(height, width)


def _sorted_seeds(
    defocus: Tensor, far_side: Tensor, order: Tensor, box: Box
) -> tuple[_Seeds, Tensor]:
    """Return the seeds of a box, sorted, and for each of its pixels the number of its seed."""
    row, column = far_side[box].nonzero(as_tuple=True)
    first = order[box][row, column].argsort(descending=True, stable=True)
    own = defocus[box][row, column]
    first = first[own[first].argsort(descending=False, stable=True)]
    row, column, own = row[first], column[first], own[first]
    numbers = torch.full(far_side[box].shape, len(row), device=defocus.device)
    numbers[row, column] = torch.arange(len(row), device=defocus.device)
    rows, columns = (F.pad(one.to(defocus), (0, 1)) for one in (row, column))
    return _Seeds(rows, columns, F.pad(own, (0, 1), value=NOTHING)), numbers


def _flood(
    seeds: _Seeds,
    places: Tensor,
    defocus: Tensor,
    wanted: Tensor,
    steps: list[int],
    check_cancelled: CheckCancelled,
) -> tuple[Tensor, Tensor]:
    """Return the number of the nearest seed behind each wanted pixel, and the squared distance.

    Jump flooding (Rong and Tan 2006): candidates travel in halving steps, and a pixel keeps the
    nearest one that lies behind its own surface. All four straight neighbours are asked at once,
    then all four diagonal ones, so that none comes first. Pixels that are not wanted have no seed
    behind them within reach, and pass none on.

    Args:
        seeds: that may be found.
        places: [h,w], number of the seed at each pixel.
        defocus: [h,w], px.
        wanted: [h,w], bool, N pixels.
        steps: px, that candidates travel.
        check_cancelled: raises to stop.

    Returns:
        Both [N]; the distance is `NOTHING` or more where there is none.
    """
    none = len(seeds.row) - 1
    # A border that holds nothing, as wide as a step, so that no step needs to be cut off.
    border, across = steps[0], defocus.shape[1] + 2 * steps[0]
    row, column = wanted.nonzero(as_tuple=True)
    at = (row + border) * across + column + border
    places = F.pad(places[None], (border,) * 4, value=none)[0].flatten()
    own_row, own_column, limit = row.to(defocus), column.to(defocus), defocus[wanted] - EDGE_STEP
    held, mine = torch.full_like(places, none), torch.full_like(at, none)
    nearest = torch.full_like(limit, NOTHING)
    for step in steps:
        for offsets in (SIDES, CORNERS):
            for dy, dx in offsets:
                check_cancelled()
                there = at - step * (dy * across + dx)
                for candidate in (held[there], places[there]):
                    square = (own_row - seeds.row[candidate]).square_()
                    square.add_((own_column - seeds.column[candidate]).square_())
                    better = (square == nearest).logical_and_(candidate < mine)
                    better.logical_or_(square < nearest)
                    better.logical_and_(seeds.defocus[candidate] < limit)
                    mine = torch.where(better, candidate, mine)
                    nearest = torch.where(better, square, nearest)
            held[at] = mine
    return mine, nearest
