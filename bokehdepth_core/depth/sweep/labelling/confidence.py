"""The confidence of a sweep: the probability that a pixel's offset is right.

Right means within max(10 %, 0.02/m). Four signs of a right or wrong offset are measured at every
pixel, and a logistic function of them is the confidence: the evidence of what it shows itself,
averaged over like colours close by, and over all that is around; how far the neighbours differ
that it was filled from; and whether it is clipped, in the reference or in all frames.
`benchmarks/fit_confidence.py` fitted the coefficients, on the public scenes and on drawn ones
(docs/sweep.md has the commands).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from ....datatypes import BokehStack
from .measurement import SAME, SAME_RADIUS
from .propagation import COLOR_SIGMA, GOLDEN_ANGLE

LIKE_RADIUS, LIKE_SAMPLES = 8, 20  # px, and number of neighbours of like colour that count
AROUND = 31  # px, side of the square of all that is around
MOST_SPREAD = 8.0  # of what agrees: more is no more wrong
CLIPPED = (0.97, 1.0)  # sRGB of the brightest channel, from which and where it says nothing
NO_SUPPORT = 1e-3  # of votes and own cost: less is nothing at all
BIAS = -0.42
# Evidence among like colours and around, spread of the fill, clipped.
WEIGHTS = (3.09, 1.22, -0.19, -4.42)
SKY = 0.75  # that what looks like a smooth sky is one, and no wall: set, not fitted


def clipped_light(stack: BokehStack) -> Tensor:
    """Return 0…1, [H,W]: whether light is clipped in the reference, or in every frame.

    A wire before a clipped sky is gone from the frames, however much it is blurred.

    Args:
        stack: as the camera took it, before its brightness was changed.

    Example:
        >>> grey, white = torch.full((1, 1, 3), 0.5), torch.ones(1, 1, 1, 3)
        >>> round(float(clipped_light(BokehStack(grey, white, (10.0,)))), 5)
        1.0
    """
    low, high = CLIPPED
    brightest = torch.maximum(stack.reference.amax(-1), stack.frames.amax(-1).amin(0))
    return ((brightest.to(torch.float32) - low) / (high - low)).clamp(0, 1)


def signs_of(
    own: Tensor, spread: Tensor, offset: Tensor, clipped: Tensor, guide: Tensor, strength: float
) -> Tensor:
    """Return the signs that the confidence is a function of, [4,H,W].

    Args:
        own: [H,W], 0…1, evidence of each pixel: trust in its own best candidate times the share
            of its blur that is its own surface's.
        spread: [H,W], 1/m, standard deviation of the offsets that it would be filled from.
        offset: [H,W], 1/m, filled.
        clipped: [H,W], 0…1, from `clipped_light`.
        guide: [3,H,W], sRGB.
        strength: the largest, px·m.

    Example:
        >>> sure, none, grey = torch.ones(9, 9), torch.zeros(9, 9), torch.full((3, 9, 9), 0.5)
        >>> signs_of(sure, none, sure, none, grey, 10.0)[:, 4, 4].tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    agrees = (SAME * offset).clamp(min=SAME_RADIUS / strength)
    return torch.stack(
        [
            _mean_of_like(own, guide),
            _mean(own, AROUND),
            (spread / agrees).clamp(max=MOST_SPREAD),
            clipped,
        ]
    )


def confidence_of(signs: Tensor, support: Tensor, sky: Tensor | None = None) -> Tensor:
    """Return the probability that each offset is right, [H,W]; 0 where nothing was measured at all.

    Args:
        signs: [4,H,W], from `signs_of`.
        support: [H,W], 0…1: what has little was filled.
        sky: [H,W] bool, taken for sky by its looks; None where there is none.

    Example:
        >>> signs = torch.zeros(4, 4, 4)
        >>> float(confidence_of(signs, torch.zeros(4, 4)).max())
        0.0
        >>> signs[:2] = 1
        >>> round(float(confidence_of(signs, torch.ones(4, 4)).max()), 2)
        0.98
    """
    logit = BIAS + sum(w * sign for w, sign in zip(WEIGHTS, signs, strict=True))
    sure, measured = torch.sigmoid(logit), support > NO_SUPPORT
    if sky is not None:
        sure, measured = torch.where(sky, SKY, sure), measured & ~sky
    return measured.any() * sure


def _mean_of_like(plane: Tensor, guide: Tensor) -> Tensor:
    """Return the mean over neighbours of like colour on a sunflower spiral, [H,W]."""
    height, width = plane.shape
    planes = torch.cat([plane[None], guide])[None]
    planes = functional.pad(planes, (LIKE_RADIUS,) * 4, mode="replicate")[0]
    total, weights = plane.clone(), torch.ones_like(plane)
    for index in range(LIKE_SAMPLES):
        radius = LIKE_RADIUS * math.sqrt((index + 0.5) / LIKE_SAMPLES)
        top = LIKE_RADIUS + round(radius * math.sin(index * GOLDEN_ANGLE))
        left = LIKE_RADIUS + round(radius * math.cos(index * GOLDEN_ANGLE))
        there = planes[:, top : top + height, left : left + width]
        distance = (there[1:] - guide).square().sum(0)
        weight = torch.exp(distance / (-2 * COLOR_SIGMA**2))
        total += weight * there[0]
        weights += weight
    return total / weights


def _mean(plane: Tensor, side: int) -> Tensor:
    """Return the mean of a square around each pixel, [H,W]."""
    padded = functional.pad(plane[None, None], (side // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, side, 1)[0, 0]
