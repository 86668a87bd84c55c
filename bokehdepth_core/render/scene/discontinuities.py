"""Depth discontinuities: where neighbouring pixels belong to surfaces of different defocus.

The matting of mixed pixels (`matting.py`) and the inpainting of occluded background (`inpaint.py`)
both start from these edges. Both also look at the pixels around a place, with the helpers below.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import AT_ONCE
from .symmetry import CORNERS, SIDES, Order, highest_by_order, mirrored_sum

EDGE_STEP = 1.0  # px of defocus between neighbours that makes a depth edge
_BORDER = 2  # px, how far an edge is seen across
EDGE_WIDTH = 1.5  # px from a depth edge at which a pixel holds one side only

Pixels = tuple[Tensor, Tensor]
"""Rows and columns of pixels, int64, of one shape."""


@dataclass(frozen=True, eq=False)
class DepthEdges:
    """The pixels on the far side of depth edges, and the way across.

    Attributes:
        far_side: [H,W], bool, where a neighbour is nearer than the slope of the surface explains.
        step_y: [H,W], px, -1, 0 or 1, rows to that neighbour; 0 away from edges.
        step_x: [H,W], px, columns to it, likewise.
    """

    far_side: Tensor
    step_y: Tensor
    step_x: Tensor


def find_depth_edges(defocus: Tensor, order: Order, wanted: Tensor | None = None) -> DepthEdges:
    """Return the depth edges of a picture.

    An edge is a step larger than `EDGE_STEP` plus the slope of the surface on either side of it.
    So the steep rim of a ball is not cut into many edges. The way across is to the neighbour that
    is nearest to the camera, and to one that shares a side before one that shares a corner.

    Args:
        defocus: [H,W], px, front positive.
        order: by which one of neighbours as near is taken.
        wanted: [H,W], bool, where far sides are looked for; None for everywhere.
    """
    rise = largest_within(defocus, 1).sub_(defocus)
    there = rise > EDGE_STEP  # no edge is elsewhere
    if wanted is not None:
        there &= wanted
    row, column = there.nonzero(as_tuple=True)
    across = defocus.shape[1] + 2 * _BORDER
    place = (row + _BORDER) * across + column + _BORDER
    heights = F.pad(defocus[None, None], (_BORDER,) * 4, mode="replicate").flatten()
    own, size = heights[place], (defocus.shape[0], defocus.shape[1])
    is_edge = torch.zeros_like(own, dtype=torch.bool)
    way = torch.zeros(2, len(own), dtype=torch.int64, device=defocus.device)
    for offsets in (SIDES, CORNERS):
        nearer = []
        for dy, dx in offsets:
            step = dy * across + dx
            back, ahead, beyond = (heights[place + k * step] for k in (-1, 1, 2))
            slope = torch.maximum(own - back, beyond - ahead).clamp_(min=0)
            nearer.append(torch.where(ahead - own > slope.add_(EDGE_STEP), ahead, -torch.inf))
        found = (torch.stack(nearer) > -torch.inf).any(0) & ~is_edge
        new = found.nonzero()[:, 0]
        there = torch.stack([one[new] for one in nearer])
        number = highest_by_order(there, offsets, (row[new], column[new]), size, order)
        way[:, new] = torch.tensor(offsets).T.to(number.device)[:, number]
        is_edge |= found
    far_side = torch.zeros_like(defocus, dtype=torch.bool)
    steps = torch.zeros(2, *defocus.shape, device=defocus.device)
    far_side[row, column], steps[:, row, column] = is_edge, way.to(steps)
    return DepthEdges(far_side, steps[0], steps[1])


def neighbour_offsets(step: int) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) to the eight neighbours that lie `step` px away."""
    return [(dy, dx) for dy in (-step, 0, step) for dx in (-step, 0, step) if dy or dx]


def window_offsets(radius: int) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) to all other pixels of a square window, `radius` px each way."""
    steps = range(-radius, radius + 1)
    return [(dy, dx) for dy in steps for dx in steps if dy or dx]


def pixels_at(rows: Tensor, columns: Tensor, like: Tensor) -> Pixels:
    """Return the pixels of a plane [H,W] at rows and columns; outside, those of its border."""
    height, width = like.shape
    return rows.clamp(0, height - 1).long(), columns.clamp(0, width - 1).long()


def pixels_beside(pixels: Pixels, down: Tensor, right: Tensor, like: Tensor) -> Pixels:
    """Return the pixels of a plane [H,W] closest to places `down` and `right` px beside others.

    Half a pixel is rounded away from them, alike on either side.
    """
    down, right = (way.sign() * (way.abs() - 0.5).ceil() for way in (down, right))
    return pixels_at(pixels[0] + down, pixels[1] + right, like)


def mean_around(
    light: Tensor,
    pixels: Pixels,
    radius: int,
    falloff: int,
    accepted: Callable[[Tensor, slice], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the mean light [3,N] of accepted pixels around N pixels, and whether there are any.

    Args:
        light: [3,H,W], linear light.
        pixels: rows and columns, [N] each.
        radius: px, of the square window around each pixel.
        falloff: a neighbour at distance d has the weight d^(-2 falloff).
        accepted: which neighbours, flat indices [K,n], of some of the N pixels count, bool.
    """
    row, column = pixels
    numbers = {offset: index for index, offset in enumerate(window_offsets(radius))}
    offsets = torch.tensor(list(numbers))
    weights = (offsets.square().sum(1, keepdim=True) ** falloff).to(light).reciprocal()
    down, right = offsets.to(row.device).T[..., None]
    planes, total = light.flatten(1), light.new_zeros(len(light) + 1, len(row))
    for part in pixels_at_once(len(row), len(offsets), light[0]):
        rows, columns = pixels_at(row[part] + down, column[part] + right, light[0])
        there = rows.mul_(light.shape[2]).add_(columns)
        weight = accepted(there, part) * weights
        seen = [values_at(plane, there).mul_(weight) for plane in planes]
        terms = torch.stack([*seen, weight], dim=1)
        total[:, part] = mirrored_sum(
            radius, partial(_term, dict(zip(numbers, terms, strict=True)))
        )
    return total[:-1] / total[-1].clamp(min=1e-9), total[-1] > 0


def at_least(plane: Tensor, limit: Tensor | float) -> Tensor:
    """Return 1.0 where a plane, which is written into, is at least a limit, and 0.0 where less.

    A comparison takes several times as long on a processor. Only what is less than the limit by
    under 1e-30 gives a number between.

    Example:
        >>> at_least(torch.tensor([0.5, 1.0, 1.5]), 1.0)
        tensor([0., 1., 1.])
    """
    return plane.sub_(limit).mul_(1e30).add_(1).clamp_(0, 1)


def values_at(plane: Tensor, there: Tensor) -> Tensor:
    """Return the numbers of a plane [H·W] at flat indices of any shape."""
    return plane.index_select(0, there.flatten()).view_as(there)


def _term(terms: dict[tuple[int, int], Tensor], dy: int, dx: int) -> Tensor:
    return terms[dy, dx]


def pixels_at_once(count: int, around: int, like: Tensor) -> Iterator[slice]:
    """Yield parts of so many pixels, of which several steps go over all `around` each.

    All around them are at most an eighth of the plane's [H,W] on a processor, and what its cache
    holds, but for small planes; elsewhere, where each step waits for the one before, as many.
    """
    if like.device.type == "cpu":
        numbers = max(AT_ONCE // 4, min(4 * AT_ONCE, like.numel() // 8))
    else:
        numbers = max(4 * AT_ONCE, like.numel())
    step = max(1, numbers // around)
    for start in range(0, count, step):
        yield slice(start, min(count, start + step))


def largest_within(plane: Tensor, reach: int) -> Tensor:
    """Return the largest value within a square of ± reach px, [H,W]; windows grow by doubling.

    Args:
        plane: [H,W], float, or bool or uint8, which take a quarter of the time.
        reach: px.
    """
    for axis in (0, 1):
        side, length = plane.shape[axis], 2 * reach + 1
        border = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
        outside = -torch.inf if plane.is_floating_point() else 0
        plane, width = F.pad(plane, border, value=outside), 1
        while 2 * width <= length:
            count = plane.shape[axis] - width
            plane = torch.maximum(plane.narrow(axis, 0, count), plane.narrow(axis, width, count))
            width *= 2
        rest = length - width
        plane = torch.maximum(plane.narrow(axis, 0, side), plane.narrow(axis, rest, side))
    return plane
