"""The last step of a sweep: strays give way to what confident like neighbours have."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from ....callbacks import CheckCancelled, never_cancelled
from .propagation import COLOR_SIGMA, GOLDEN_ANGLE
from .window import shifted

SAMPLES = 24  # neighbours on a sunflower spiral
RADIUS = 0.015  # of the picture's shorter side: how far they are
LEAST_WEIGHT = 0.02  # of a neighbour that knows nothing
STRIP_VALUES = 250_000  # numbers sorted at once


def weighted_median(
    values: Tensor,
    confidence: Tensor,
    guide: Tensor,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return each pixel's median over itself and its neighbours, weighted, [H,W].

    A neighbour weighs its confidence, its likeness of colour and its nearness. A median takes one
    of the values, so none arises between two surfaces.

    Args:
        values: [H,W], any unit.
        confidence: [H,W], 0…1.
        guide: [3,H,W], sRGB.
        check_cancelled: raises to stop; called before every strip of rows.

    Reference:
        Ma et al., "Constant time weighted median filtering for stereo matching and beyond",
        ICCV 2013.

    Example:
        >>> values = torch.ones(9, 9)
        >>> values[4, 4] = 7
        >>> grey = torch.full((3, 9, 9), 0.5)
        >>> float(weighted_median(values, torch.ones(9, 9), grey).max())
        1.0
    """
    height, width = values.shape
    steps = _spiral(height, width)
    reach = max(max(abs(dy), abs(dx)) for dy, dx, _ in steps)
    planes = torch.stack([values, confidence.clamp(min=LEAST_WEIGHT), *guide])[None]
    padded = functional.pad(planes, (reach,) * 4, mode="replicate")[0]
    rows = max(1, STRIP_VALUES // (width * len(steps)))
    strips = []
    for first in range(0, height, rows):
        check_cancelled()
        last = min(first + rows, height)
        around = padded[:, first : last + 2 * reach]
        found = values.new_empty((2, len(steps), last - first, width))
        for (dy, dx, nearness), value, weight in zip(steps, *found, strict=True):
            there = shifted(around, dy, dx, reach)
            apart = (there[2:] - guide[:, first:last]).square_().sum(0)
            likeness = apart.mul_(1 / (-2 * COLOR_SIGMA**2)).exp_().mul_(nearness)
            value.copy_(there[0])
            torch.mul(there[1], likeness, out=weight)
        strips.append(_median(*found.permute(0, 2, 3, 1).contiguous()))
    return torch.cat(strips)


def _median(values: Tensor, weights: Tensor) -> Tensor:
    """Return the lowest value that half of the weight does not exceed, over the last dimension."""
    ordered, order = values.sort(-1)
    below = weights.gather(-1, order).cumsum(-1)
    place = (below < 0.5 * below[..., -1:]).sum(-1, keepdim=True)
    return ordered.gather(-1, place)[..., 0]


def _spiral(height: int, width: int) -> list[tuple[int, int, float]]:
    """Return (dy, dx, weight) of the pixel itself and of neighbours spread evenly over a disc."""
    reach = max(1.0, RADIUS * min(height, width))
    steps = [(0, 0, 1.0)]
    for index in range(SAMPLES):
        share = (index + 0.5) / SAMPLES
        radius, angle = reach * math.sqrt(share), index * GOLDEN_ANGLE
        step = round(radius * math.sin(angle)), round(radius * math.cos(angle))
        steps.append((*step, 1 / (1 + 2 * share)))
    return steps
