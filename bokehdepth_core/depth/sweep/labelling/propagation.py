"""How pixels without texture get a value: from confident pixels of the same surface.

Cross-bilateral voting lets neighbours of like colour choose among candidates; propagation then
fills what has no such neighbours along smooth colour.
"""

import math

import torch
from torch import Tensor

from ....callbacks import CheckCancelled, never_cancelled

COLOR_SIGMA = 0.08  # sRGB distance at which two pixels stop being one surface
SAMPLES = 64  # neighbours that vote for each pixel
SUPPORT_RADIUS = 0.08  # of the picture's shorter side: how far voters are
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
EDGE = 0.06  # sRGB difference between neighbours that counts as an edge
CHANGED = 0.1  # difference of the frames from the reference beyond which more tells little …
CHANGE_WEIGHT = 2.0  # … and what smaller ones count against a distance of colour; tuned on pub1-4
ROUNDS = 3  # passes over rows and columns, as in the paper cited below


def likeness(guide: Tensor, change: Tensor) -> Tensor:
    """Return what pixels of one surface have alike: colour, and how far blur changed them.

    A brown branch over brown fur in focus is told from it by the frames, in which it is gone.

    Args:
        guide: [3,H,W], sRGB.
        change: [H,W], difference of the frames from the reference, 0…1 (`CostVolume`).

    Returns:
        [4,H,W].

    Example:
        >>> likeness(torch.zeros(3, 1, 2), torch.tensor([[0.0, 0.1]]))[3]
        tensor([[0.0000, 0.1000]])
    """
    limited = CHANGED * change / (change + CHANGED)
    return torch.cat([guide, CHANGE_WEIGHT * limited[None]])


def cross_bilateral_votes(
    labels: Tensor,
    confidence: Tensor,
    guide: Tensor,
    count: int,
    rows: tuple[int, int],
    samples: int = SAMPLES,
) -> Tensor:
    """Return how much each label is supported by confident neighbours of like colour.

    Neighbours lie on a sunflower spiral around the pixel; a vote counts by the voter's confidence,
    likeness of colour and nearness. Unlike an average, votes never invent a value between surfaces.

    Args:
        labels: [H,W], 0…count−1, fractions are shared between two labels.
        confidence: [H,W], 0…1.
        guide: [C,H,W], what neighbours are alike in (`likeness`).
        count: number of labels.
        rows: first and one past the last row wanted.
        samples: number of neighbours that vote for each pixel.

    Returns:
        [count,rows,W], >= 0; as much with fewer neighbours.

    Reference:
        Petschnigg et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH 2004
        (joint, or cross, bilateral weights), here summed for each label.

    Example:
        >>> grey = torch.full((3, 8, 8), 0.5)
        >>> votes = cross_bilateral_votes(torch.ones(8, 8), torch.ones(8, 8), grey, 3, (0, 8))
        >>> int(votes[:, 4, 4].argmax())
        1
    """
    height, width = labels.shape
    first, last = rows
    votes = labels.new_zeros((count, last - first, width))
    low = labels.floor().clamp(0, count - 2)
    share = labels - low
    low = low.long()
    for dy, dx, nearness in _spiral(height, width, samples):
        top, bottom = max(first, -dy), min(last, height - dy)
        left, right = max(0, -dx), min(width, width - dx)
        if top >= bottom or left >= right:
            continue
        here = (slice(top, bottom), slice(left, right))
        there = (slice(top + dy, bottom + dy), slice(left + dx, right + dx))
        apart = guide[:, here[0], here[1]] - guide[:, there[0], there[1]]
        distance = apart.square().sum(0)
        weight = confidence[there] * torch.exp(distance / (-2 * COLOR_SIGMA**2)) * nearness
        target = votes[:, top - first : bottom - first, left:right]
        upper = weight * share[there]
        target.scatter_add_(0, low[there][None], (weight - upper)[None])
        target.scatter_add_(0, low[there][None] + 1, upper[None])
    return votes


def _spiral(height: int, width: int, samples: int) -> list[tuple[int, int, float]]:
    """Return (dy, dx, weight) of voters, spread evenly over a disc."""
    reach = max(1.0, SUPPORT_RADIUS * min(height, width))
    voters = []
    for index in range(samples):
        share = (index + 0.5) / samples
        radius, angle = reach * math.sqrt(share), index * GOLDEN_ANGLE
        dy, dx = round(radius * math.sin(angle)), round(radius * math.cos(angle))
        voters.append((dy, dx, SAMPLES / samples / (1 + 2 * share)))
    return voters


def propagate_with_spread(
    values: Tensor,
    confidence: Tensor,
    guide: Tensor,
    check_cancelled: CheckCancelled = never_cancelled,
) -> tuple[Tensor, Tensor]:
    """Return values in which uncertain pixels follow confident ones across smooth colour.

    Normalised convolution with a recursive filter along rows and columns: its weight falls with
    distance and with every colour edge crossed. A pixel of confidence 1 keeps its own value.

    Args:
        values: [H,W], any unit.
        confidence: [H,W], 0…1.
        guide: [3,H,W], sRGB.
        check_cancelled: raises to stop; called before every pass.

    Returns:
        Values, [H,W], and the standard deviation, [H,W], same unit, of those that each pixel would
        be filled from.

    Reference:
        Gastal and Oliveira, "Domain transform for edge-aware image and video processing",
        SIGGRAPH 2011 (recursive filter).

    Example:
        >>> values = torch.tensor([[1.0, 1.0, 3.0]])
        >>> sure = torch.tensor([[1.0, 0.0, 1.0]])
        >>> filled, spread = propagate_with_spread(values, sure, torch.zeros(3, 1, 3))
        >>> round(float(filled[0, 1]), 2), round(float(spread[0, 1]), 2)  # from 1 and 3
        (2.0, 1.0)
    """
    weight = confidence.square() + 1e-6
    planes = torch.stack([values * weight, weight, values.square() * weight])
    for step in range(ROUNDS):
        # Radii of the passes halve, so that stripes of one pass vanish in the next.
        sigma = max(values.shape) / 4 * 0.5**step
        check_cancelled()
        planes = _along_rows(planes, _decay(guide, sigma))
        check_cancelled()
        planes = _along_rows(planes.mT, _decay(guide.mT, sigma)).mT
        # Only the ratio of the two counts.
        planes = planes / planes[1].amax().clamp(min=1e-20)
    mean, square = planes[::2] / planes[1].clamp(min=1e-20)
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return confidence * values + (1 - confidence) * mean, deviation


def _decay(guide: Tensor, sigma: float) -> Tensor:
    """Return the share that each pixel takes over from the one before it in its row, [H,W]."""
    step = guide.diff(dim=2).abs().sum(0) / EDGE
    return torch.nn.functional.pad(torch.exp(-math.sqrt(2) / sigma - step), (1, 0))


def _along_rows(planes: Tensor, decay: Tensor) -> Tensor:
    """Return [C,H,W] filtered along the rows, forwards and backwards."""
    forwards = list(planes.unbind(-1))
    backwards = list(planes.unbind(-1))
    share = decay.unbind(-1)
    for i in range(1, len(forwards)):
        forwards[i] = forwards[i] + share[i] * forwards[i - 1]
    for i in range(len(backwards) - 2, -1, -1):
        backwards[i] = backwards[i] + share[i + 1] * backwards[i + 1]
    return torch.stack(forwards, -1) + torch.stack(backwards, -1) - planes
