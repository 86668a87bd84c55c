"""Depth discontinuities: where neighbouring pixels belong to surfaces of different defocus.

The matting of mixed pixels (`matting.py`) and the inpainting of occluded background (`inpaint.py`)
both start from these edges. Both also look at the pixels around a place, with the helpers below.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_STEP = 1.0  # px of defocus between neighbours that makes a depth edge
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


def find_depth_edges(defocus: Tensor) -> DepthEdges:
    """Return the depth edges of a picture.

    An edge is a step larger than `EDGE_STEP` plus the slope of the surface on either side of it.
    So the steep rim of a ball is not cut into many edges.

    Args:
        defocus: [H,W], px, front positive.
    """
    step_y, step_x = torch.zeros_like(defocus), torch.zeros_like(defocus)
    found = torch.zeros_like(defocus, dtype=torch.bool)
    height, width = defocus.shape
    padded = F.pad(defocus[None, None], (2, 2, 2, 2), mode="replicate")[0, 0]
    # Straight neighbours come before diagonal ones, which are farther.
    for dy, dx in sorted(neighbour_offsets(1), key=lambda offset: abs(offset[0]) + abs(offset[1])):
        back, ahead, beyond = (
            padded[2 + k * dy :, 2 + k * dx :][:height, :width] for k in (-1, 1, 2)
        )
        slope = torch.maximum(defocus - back, beyond - ahead).clamp(min=0)
        new = (ahead - defocus > EDGE_STEP + slope) & ~found
        step_y, step_x = step_y.masked_fill(new, dy), step_x.masked_fill(new, dx)
        found |= new
    return DepthEdges(found, step_y, step_x)


def neighbour_offsets(step: int) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) to the eight neighbours that lie `step` px away."""
    return [(dy, dx) for dy in (-step, 0, step) for dx in (-step, 0, step) if dy or dx]


def window_offsets(radius: int) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) to all other pixels of a square window, `radius` px each way."""
    steps = range(-radius, radius + 1)
    return [(dy, dx) for dy in steps for dx in steps if dy or dx]


def pixels_at(rows: Tensor, columns: Tensor, like: Tensor) -> Pixels:
    """Return the pixels of a plane [H,W] closest to places in px; outside, those of its border."""
    height, width = like.shape
    # Not `round`, which goes to even numbers and so depends on where the picture begins.
    rows, columns = (rows + 0.5).floor(), (columns + 0.5).floor()
    return rows.clamp(0, height - 1).long(), columns.clamp(0, width - 1).long()


def mean_around(
    light: Tensor,
    pixels: Pixels,
    radius: int,
    falloff: int,
    accepted: Callable[[Pixels], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the mean light [3,N] of accepted pixels around N pixels, and whether there are any.

    Args:
        light: [3,H,W], linear light.
        pixels: rows and columns, [N] each.
        radius: px, of the square window around each pixel.
        falloff: a neighbour at distance d has the weight d^(-2 falloff).
        accepted: which of N neighbours count, [N] bool.
    """
    row, column = pixels
    total, weights = light.new_zeros(len(light), len(row)), light.new_zeros(len(row))
    for dy, dx in window_offsets(radius):
        there = pixels_at(row + dy, column + dx, light[0])
        weight = accepted(there) / (dy * dy + dx * dx) ** falloff
        total += weight * light[:, there[0], there[1]]
        weights += weight
    return total / weights.clamp(min=1e-9), weights > 0


def largest_within(plane: Tensor, reach: int) -> Tensor:
    """Return the largest value within a square of ± reach px, [H,W]; windows grow by doubling."""
    for axis in (0, 1):
        side, length = plane.shape[axis], 2 * reach + 1
        border = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
        plane, width = F.pad(plane, border, value=-torch.inf), 1
        while 2 * width <= length:
            count = plane.shape[axis] - width
            plane = torch.maximum(plane.narrow(axis, 0, count), plane.narrow(axis, width, count))
            width *= 2
        rest = length - width
        plane = torch.maximum(plane.narrow(axis, 0, side), plane.narrow(axis, rest, side))
    return plane
