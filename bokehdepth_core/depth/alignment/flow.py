"""The smooth field by which a frame still differs in place after shift, scale and rotation.

Frames of a generator wobble by a pixel or so, slowly over the picture. One field is found for the
whole frame: it follows the picture where there is texture, and bends as little as it can, so that
what lies between textured places moves with them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .matching import Match
from .registration import Level, gradients, match_at, weights

BLOCK = 4  # px of the finest level, side of the blocks on which the field is solved
STIFFNESS = 200.0  # of the field's bending against the picture; tuned on pub1-4
STEPS = (6, 3)  # on the pictures of half size, and on the finest
CONVERGED = 0.04  # px of the picture, root mean square of a step
PROMISING = 0.88  # share of the matching cost left by half-size pictures, to go on
LARGEST_STEP = 1.5  # px of a level
SOLVER_STEPS = 60  # conjugate gradients
FAINTEST = 1e-7  # variance of the residual, square-root-encoded light


def residual_field(
    levels: Sequence[Level], index: int, field: Tensor
) -> tuple[Tensor, Match, Match]:
    """Return a field [2,h,w], px of the finest level, refined, and the matches before and after.

    Every step minimises Σ w (e + g·u)² / σ² + STIFFNESS Σ |∇²(f + u)|² over the step u, with e the
    residual, g the mean gradient of the two pictures, w the weights, σ² the residual's variance and
    f the field so far.

    Args:
        levels: from coarse to fine.
        index: of the frame.
        field: [2,h,w], px of the finest level, of the similarity.

    Reference:
        Horn and Schunck, "Determining optical flow", Artificial Intelligence 1981, with the bending
        of Terzopoulos, "Regularization of inverse visual problems", PAMI 1986.
    """
    finest = levels[-1]
    before, _ = match_at(finest, index, field)
    if len(levels) > 1:
        half = levels[-2]
        ratio = half.shrink / finest.shrink
        start = _resized(field, half.frames.shape[1:]) / ratio
        found, _ = _descend(half, index, start, STEPS[0], ratio)
        better = field + ratio * _resized(found - start, field.shape[1:])
        match, _ = match_at(finest, index, better)
        if match.mean_cost(better) > PROMISING * before.mean_cost(field):
            return field, before, before
        field = better
    field, match = _descend(finest, index, field, STEPS[1], 1.0)
    return field, before, match


def _descend(
    level: Level, index: int, field: Tensor, steps: int, ratio: float
) -> tuple[Tensor, Match]:
    """Return the field after some steps, and its match; `ratio` is px of the finest level a px."""
    match, moved = match_at(level, index, field)
    for _ in range(steps):
        update = _update(match, moved, field, ratio)
        field = field + update
        match, moved = match_at(level, index, field)
        if level.shrink * float(update.square().sum(0).mean().sqrt()) < CONVERGED:
            break
    return field, match


def _resized(field: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(
        field[None], size=tuple(size), mode="bilinear", align_corners=False
    )[0]


def _update(match: Match, moved: Tensor, field: Tensor, ratio: float) -> Tensor:
    """Return the next step of the field, [2,h,w], px of its level, `ratio` of the finest's px."""
    weight = weights(match, moved, field)
    known = match.residual[weight > 0.1].abs()
    if known.numel() == 0:
        return torch.zeros_like(field)
    variance = (1.4826 * known.median()).square() + FAINTEST
    side = max(1, round(BLOCK / ratio))
    # The residual is what the frame has more than the blurred reference.
    across, down = gradients(moved - match.residual / 2)
    terms = torch.stack([across * across, across * down, down * down])
    terms = torch.cat([terms, torch.stack([across, down]) * match.residual])
    blocks = functional.avg_pool2d((terms * weight / variance)[None], side, ceil_mode=True)[0]
    blocks = blocks * side**2
    coarse = functional.interpolate(field[None], size=blocks.shape[1:], mode="area")[0]
    step = _least_bending(blocks[:3], -blocks[3:], coarse, STIFFNESS * ratio**2)
    return _resized(step.clamp(-LARGEST_STEP, LARGEST_STEP), moved.shape)


def _least_bending(texture: Tensor, pull: Tensor, field: Tensor, stiffness: float) -> Tensor:
    """Return the step u, [2,h,w], that minimises uᵀTu − 2 pull·u + stiffness |∇²(field + u)|².

    Conjugate gradients, each unknown scaled by its diagonal.

    Args:
        texture: [3,h,w], xx, xy and yy of T in every block.
        pull: [2,h,w].
        field: [2,h,w], px.
        stiffness: of bending.
    """
    xx, xy, yy = texture

    def product(u: Tensor) -> Tensor:
        data = torch.stack([xx * u[0] + xy * u[1], xy * u[0] + yy * u[1]])
        return data + stiffness * _laplacian(_laplacian(u))

    diagonal = torch.stack([xx, yy]) + 20 * stiffness
    rest = pull - stiffness * _laplacian(_laplacian(field))
    step = torch.zeros_like(rest)
    scaled = rest / diagonal
    direction, size = scaled, (rest * scaled).sum()
    for _ in range(SOLVER_STEPS):
        image = product(direction)
        length = size / (direction * image).sum().clamp(min=1e-30)
        step = step + length * direction
        rest = rest - length * image
        scaled = rest / diagonal
        size, last = (rest * scaled).sum(), size
        direction = scaled + size / last.clamp(min=1e-30) * direction
    return step


def _laplacian(planes: Tensor) -> Tensor:
    """Return the sum of the four neighbours' differences, [C,h,w]; none over the border."""
    around = functional.pad(planes[None], (1, 1, 1, 1), mode="replicate")[0]
    return (
        around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]
    ) - 4 * planes
