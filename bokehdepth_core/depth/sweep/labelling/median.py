"""The last step of a sweep: strays give way to what confident like neighbours have."""

import math

import torch
from torch import Tensor

from ....callbacks import CheckCancelled, never_cancelled
from .propagation import COLOR_SIGMA, GOLDEN_ANGLE

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
    weight = confidence.clamp(min=LEAST_WEIGHT)
    rows = max(1, STRIP_VALUES // (width * len(steps)))
    strips = []
    for first in range(0, height, rows):
        check_cancelled()
        here = torch.arange(first, min(first + rows, height), device=values.device)
        across = torch.arange(width, device=values.device)
        around, weights = [], []
        for dy, dx, nearness in steps:
            there = (here + dy).clamp(0, height - 1)[:, None], (across + dx).clamp(0, width - 1)
            apart = (guide[:, there[0], there[1]] - guide[:, here]).square().sum(0)
            around.append(values[there])
            weights.append(weight[there] * torch.exp(apart / (-2 * COLOR_SIGMA**2)) * nearness)
        strips.append(_median(torch.stack(around, -1), torch.stack(weights, -1)))
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
