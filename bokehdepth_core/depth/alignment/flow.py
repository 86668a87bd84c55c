"""The smooth field by which a frame still differs in place after shift, scale and rotation.

Frames of a generator wobble by a pixel or so, slowly over the picture. One least-squares shift is
found for every neighbourhood, and neighbourhoods without texture follow those around them.
"""

import torch
from torch import Tensor
from torch.nn import functional

from .matching import Match
from .registration import Level, gradients, match_at, weights

BLOCK = 10  # px of the picture, side of a neighbourhood
SPREAD = 1.0  # blocks, of the Gaussian over neighbourhoods
STIFFNESS = 0.004  # share of the picture's mean texture that speaks for no displacement
STEPS = 6
CONVERGED = 0.08  # px, root mean square of a step


def residual_field(level: Level, index: int, field: Tensor) -> tuple[Tensor, Match, Match]:
    """Return a field [2,h,w], px of the level, refined, and the matches before and after.

    Args:
        level: the finest pictures.
        index: of the frame.
        field: [2,h,w], px, of the similarity.

    Reference:
        Lucas and Kanade, "An iterative image registration technique", IJCAI 1981.
    """
    before, moved = match_at(level, index, field)
    match = before
    side = max(2, round(BLOCK / level.shrink))
    for _ in range(STEPS):
        update = _update(match, moved, field, side)
        field = field + update
        match, moved = match_at(level, index, field)
        if level.shrink * float(update.square().sum(0).mean().sqrt()) < CONVERGED:
            break
    return field, before, match


def _update(match: Match, moved: Tensor, field: Tensor, side: int) -> Tensor:
    """Return the step of Lucas and Kanade of every neighbourhood, [2,h,w], px."""
    weight = weights(match, moved, field)
    gx, gy = gradients(moved)
    terms = torch.stack([gx * gx, gx * gy, gy * gy, gx * match.residual, gy * match.residual])
    blocks = functional.avg_pool2d((terms * weight)[None], side, ceil_mode=True)[0]
    xx, xy, yy, right, down = _smooth(blocks)
    stiff = STIFFNESS * 0.5 * (xx + yy).mean() + 1e-9
    xx, yy = xx + stiff, yy + stiff
    area = xx * yy - xy.square()
    step = torch.stack([xy * down - yy * right, xy * right - xx * down]) / area
    step = _smooth(step.clamp(-1, 1))
    return functional.interpolate(
        step[None], size=moved.shape, mode="bilinear", align_corners=False
    )[0]


def _smooth(planes: Tensor) -> Tensor:
    """Return [C,h,w] through a Gaussian of SPREAD blocks."""
    taps = torch.arange(-2, 3, device=planes.device, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (taps / SPREAD).square())
    kernel = kernel / kernel.sum()
    padded = functional.pad(planes[:, None], (2, 2, 2, 2), mode="replicate")
    rows = functional.conv2d(padded, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None])[:, 0]
