"""Outlines of apertures: how far inside a closed polygon, convex or not, a place lies.

A polygon is the list of its corners. Its sides are straight, or arcs that bulge outwards as the
blades of an iris do. An aperture of another shape, a star for one, is another list of corners.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

Corner = tuple[float, float]  # (x, y), in blur radii; y goes down

_AS_NEAR = 1e-6  # radii by which the distances of two sides may differ in single precision


def regular_corners(count: int, rotation: float) -> list[Corner]:
    """Return the corners of a regular polygon in the unit circle.

    Args:
        count: of corners, >= 3.
        rotation: angle of one corner, degrees, from +x towards +y.

    Example:
        >>> [(round(x), round(y)) for x, y in regular_corners(4, 0.0)]
        [(1, 0), (0, 1), (-1, 0), (0, -1)]
    """
    angles = (math.radians(rotation) + 2 * math.pi * index / count for index in range(count))
    return [(math.cos(angle), math.sin(angle)) for angle in angles]


def distance_inside(
    y: Tensor, x: Tensor, corners: Sequence[Corner], curvature: float = 0.0
) -> Tensor:
    """Return how far inside a polygon each place lies, in the unit of its corners; outside below 0.

    It is the distance to the line, or the circle, of the side that is nearest. Where a corner is
    nearest, both its sides are, and the smaller of the two distances counts: lines of equal
    distance keep the polygon's corners. In a convex polygon that is the smallest of all sides.

    Args:
        y: [h,1], places down.
        x: [1,w], places to the right.
        corners: in the order of rising angle from +x towards +y; sides must not cross.
        curvature: 0…1: how far the middle of a side bulges towards the unit circle.

    Returns:
        [h,w].

    Reference:
        The side that is nearest gives the sign: Bærentzen and Aanæs, "Signed Distance Computation
        Using the Angle Weighted Pseudonormal", IEEE TVCG 2005.

    Example:
        >>> star = [(math.cos(a) * r, math.sin(a) * r) for a, r in
        ...         ((math.pi * i / 5, (1.0, 0.4)[i % 2]) for i in range(10))]
        >>> at = torch.tensor([[0.0, 0.7, -0.7]])
        >>> (distance_inside(torch.zeros(1, 1), at, star) > 0).tolist()  # a tip to the right only
        [[True, True, False]]
    """
    nearest = torch.full_like(y + x, torch.inf)
    inside = torch.zeros_like(nearest)
    for (x0, y0), (x1, y1) in pairwise([*corners, corners[0]]):
        length = math.hypot(x1 - x0, y1 - y0)
        right, down = (y1 - y0) / length, -(x1 - x0) / length  # outwards
        chord = x0 * right + y0 * down
        out = x * right + y * down
        middle = ((y0 + y1) * right - (x0 + x1) * down) / 2
        across = y * right - x * down - middle
        beyond = (across.abs() - length / 2).clamp(min=0)
        apart = torch.hypot(out - chord, beyond)
        side = _inside_of(out, across, chord, length / 2, curvature * (1 - chord))
        as_near = torch.where(apart <= nearest + _AS_NEAR, torch.minimum(inside, side), inside)
        inside = torch.where(apart < nearest - _AS_NEAR, side, as_near)
        nearest = torch.minimum(nearest, apart)
    return inside


def _inside_of(out: Tensor, across: Tensor, chord: float, half: float, rise: float) -> Tensor:
    """Return the distance inwards from a side, straight or an arc whose top lies `rise` higher.

    Args:
        out: [h,w], places along the side's outward normal.
        across: [h,w], places along the side, from its middle.
        chord: of the side, along its normal.
        half: length of the side, halved.
        rise: of the arc's top over its chord.
    """
    if rise <= 0:
        return chord - out
    bend = (half**2 + rise**2) / (2 * rise)
    return bend - torch.hypot(out - (chord + rise - bend), across)
