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
from .discontinuities import EDGE_STEP, at_least, largest_within
from .symmetry import CORNERS, SIDES, Order

NOTHING = 1e15  # px, in place of infinity, which would turn products into NaN
_SEEDS = 2**26  # more than pixels of a tile lie at edges
_UNKNOWN = 2**35  # px², more than any distance squared; twice that times the seeds is below 2⁶³


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
    order: Order,
    radius: float,
    check_cancelled: CheckCancelled = never_cancelled,
) -> NearestBackground:
    """Return for every pixel the nearest far-side edge pixel of a surface that lies behind it.

    Of several as near it is the one farthest behind, then that of the highest order.

    Args:
        defocus: [H,W], px, front positive.
        far_side: [H,W], bool, the far side of depth edges.
        order: by which one of pixels as near is taken.
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
    defocus: Tensor, far_side: Tensor, order: Order, box: Box
) -> tuple[_Seeds, Tensor]:
    """Return the seeds of a box, sorted, and for each of its pixels the number of its seed."""
    row, column = far_side[box].nonzero(as_tuple=True)
    pixel = (row + box[0].start) * defocus.shape[1] + column + box[1].start
    first = order.at(pixel).argsort(descending=True, stable=True)
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
        Both [N]; the squared distance is `NOTHING` where there is none.
    """
    none = len(seeds.row) - 1
    # A border that holds nothing, as wide as a step, so that no step needs to be cut off.
    border, across = steps[0], defocus.shape[1] + 2 * steps[0]

    def placed(row: Tensor, column: Tensor) -> Tensor:
        return (row + border) * across + column + border

    row, column = wanted.nonzero(as_tuple=True)
    at = placed(row, column)
    best = _Best(seeds, row.to(defocus), column.to(defocus), defocus[wanted] - EDGE_STEP)
    # A wanted pixel holds what it found. Those that are seeds, which are few, offer themselves too.
    held = F.pad(places.masked_fill(wanted, none)[None], (border,) * 4, value=none)[0].flatten()
    held, position = held.int(), at.int()
    is_seed = wanted & (places < none)
    own = placed(*is_seed.nonzero(as_tuple=True))
    offered = places[is_seed].int()
    number = torch.full_like(held, len(at))  # of the wanted pixel at each place
    number[at] = torch.arange(len(at), dtype=held.dtype, device=held.device)
    for step in steps:
        for offsets in (SIDES, CORNERS):
            for dy, dx in offsets:
                check_cancelled()
                move = step * (dy * across + dx)
                best.offer(held.index_select(0, position - move))
                if len(offered):
                    best.offer_some(offered, number[own + move].long())
            held[at] = best.seed.int()
    return best.seed, best.square


class _Best:
    """The nearest seed behind each of N wanted pixels so far.

    Each pixel has one whole number for both the distance and the seed, which falls with either: a
    minimum takes a fraction of the time of comparing and choosing on a processor.

    Args:
        seeds: that may be found.
        row: [N], px.
        column: [N], px.
        limit: [N], px, the defocus below which a seed lies behind.
    """

    def __init__(self, seeds: _Seeds, row: Tensor, column: Tensor, limit: Tensor) -> None:
        self._seeds = seeds
        # One more, which is nobody, so that any pixel can be told of.
        self._row, self._column = F.pad(row, (0, 1)), F.pad(column, (0, 1))
        self._limit = F.pad(limit, (0, 1), value=-NOTHING)
        none = _UNKNOWN * _SEEDS + len(seeds.row) - 1
        self._best = torch.full_like(self._row, none, dtype=torch.int64)

    @property
    def seed(self) -> Tensor:
        """Numbers of the seeds, [N], int64; the last one where there is none."""
        return self._best[:-1] & (_SEEDS - 1)

    @property
    def square(self) -> Tensor:
        """How far they are, squared, px², [N]; `NOTHING` where there is none."""
        square = (self._best[:-1] & ~(_SEEDS - 1)).to(self._row).mul_(1 / _SEEDS)
        return square.masked_fill_(square >= _UNKNOWN, NOTHING)

    def offer(self, candidate: Tensor) -> None:
        """Offer every pixel a seed, [N], by its number."""
        best = self._best[:-1]
        torch.minimum(best, self._ranked(candidate, slice(-1)), out=best)

    def offer_some(self, candidate: Tensor, pixel: Tensor) -> None:
        """Offer seeds [M] to some pixels, [M], each of which but N is there once."""
        self._best[pixel] = torch.minimum(self._best[pixel], self._ranked(candidate, pixel))

    def _ranked(self, candidate: Tensor, of: slice | Tensor) -> Tensor:
        """Return the number of each candidate, more than that of none where it is not behind."""
        row, column, defocus = (
            plane.index_select(0, candidate)
            for plane in (self._seeds.row, self._seeds.column, self._seeds.defocus)
        )
        square = row.sub_(self._row[of]).square_().add_(column.sub_(self._column[of]).square_())
        square.add_(at_least(defocus, self._limit[of]), alpha=2 * _UNKNOWN)
        return square.long().mul_(_SEEDS).add_(candidate)
