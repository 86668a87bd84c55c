"""Finds by how much a frame is shifted, scaled and turned against the reference.

Gauss-Newton on pictures from coarse to fine. At every step the reference is first blurred as the
frame is, pixel by pixel (`matching.py`); pixels that no blur explains, beside occlusions above
all, have no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...callbacks import CheckCancelled
from ...color import srgb_to_linear
from .matching import BlurLadder, Match
from .warp import Similarity, warped

FINEST_SIDE = 384  # px, shorter side of the largest pictures compared
COARSEST_SIDE = 48
STEPS = (6, 6, 10)  # Gauss-Newton steps on the finest pictures, the next, and all others
CONVERGED = 0.02  # px at the corner; the next step would be far smaller
OUTLIER = 2.0  # spreads of the residual at which a pixel counts half
NEEDED = 200  # trusted pixels, below which nothing is known
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709


@dataclass(frozen=True, eq=False)
class Level:
    """One size of the pictures.

    Attributes:
        shrink: px of the picture for one of this level.
        ladder: the reference at its blurs.
        frames: [N,h,w], square-root-encoded light.
    """

    shrink: int
    ladder: BlurLadder
    frames: Tensor


def pyramid(reference: Tensor, frames: Tensor) -> list[Level]:
    """Return the levels from coarse to fine of sRGB pictures [H,W,3] and [N,H,W,3]."""
    side = min(reference.shape[:2])
    shrink = max(1, -(-side // FINEST_SIDE))
    shrinks = [shrink]
    while side // (shrinks[-1] * 2) >= COARSEST_SIDE:
        shrinks.append(shrinks[-1] * 2)
    # One picture after another: they may be large.
    both = torch.stack(
        [functional.avg_pool2d(_luma(one)[None], shrink) for one in (reference, *frames)]
    )
    levels = []
    for one in reversed(shrinks):
        small = functional.avg_pool2d(both, one // shrink)[:, 0]
        levels.append(Level(one, BlurLadder(small[0]), small[1:].clamp(min=0).sqrt()))
    return levels


def _luma(image: Tensor) -> Tensor:
    """Return the linear light [H,W] of an sRGB picture [H,W,3]."""
    light = srgb_to_linear(image.float()).clamp(min=0)
    return light @ light.new_tensor(LUMA)


def needed_pixels(size: tuple[int, int]) -> float:
    """Return how many trusted pixels of a level must support a result."""
    return min(NEEDED, 0.05 * size[0] * size[1])


def register(
    levels: Sequence[Level], index: int, check_cancelled: CheckCancelled
) -> tuple[Similarity, float]:
    """Return the similarity of one frame, px of the whole picture, and its number of trusted px."""
    found = Similarity()
    trusted = 0.0
    for depth, level in enumerate(levels):
        steps = STEPS[min(len(levels) - 1 - depth, len(STEPS) - 1)]
        for _ in range(steps):
            check_cancelled()
            update, trusted = _step(level, index, found)
            found = _joined(found, update, level.shrink)
            size = level.frames.shape[1:]
            if update.largest_move((size[0], size[1])) < CONVERGED:
                break
    return found, trusted


def at_level(similarity: Similarity, level: Level) -> Similarity:
    """Return a similarity in px of a level."""
    x, y = (value / level.shrink for value in similarity.shift)
    return Similarity((x, y), similarity.scale, similarity.rotation)


def match_at(level: Level, index: int, field: Tensor) -> tuple[Match, Tensor]:
    """Return the match of a frame moved by a field [2,h,w], and the moved frame [h,w]."""
    moved = warped(level.frames[index][None], field, taps=4)[0]
    return level.ladder.match(moved), moved


def _step(level: Level, index: int, found: Similarity) -> tuple[Similarity, float]:
    """Return the update of the similarity, px of the level, and the number of trusted pixels."""
    size = (level.frames.shape[1], level.frames.shape[2])
    field = at_level(found, level).field(size, level.frames.device)
    match, moved = match_at(level, index, field)
    weight = weights(match, moved, field)
    across, down = gradients(moved)
    y = (torch.arange(size[0], device=moved.device) - (size[0] - 1) / 2)[:, None] / max(size)
    x = (torch.arange(size[1], device=moved.device) - (size[1] - 1) / 2) / max(size)
    slopes = torch.stack([across, down, across * x + down * y, down * x - across * y]).flatten(1)
    flat = weight.flatten()
    normal = ((slopes * flat) @ slopes.T).cpu().double()
    pull = ((slopes * flat) @ match.residual.flatten()).cpu().double()
    normal += 1e-6 * normal.trace() * torch.eye(4, dtype=normal.dtype) + 1e-12 * torch.eye(4)
    right, below, scale, rotation = (-torch.linalg.solve(normal, pull)).tolist()
    update = Similarity((right, below), scale / max(size), rotation / max(size))
    return update, float((weight > 0.25).sum())


def weights(match: Match, moved: Tensor, field: Tensor) -> Tensor:
    """Return how much each pixel counts, [h,w], 0…1; nothing from beyond the frame's border."""
    inside = torch.zeros_like(moved)
    margin = 4 + int(field.abs().max())
    inside[margin : moved.shape[0] - margin, margin : moved.shape[1] - margin] = 1
    weight = match.trust * inside
    known = match.residual[weight > 0.25].abs()
    if known.numel() == 0:
        return torch.zeros_like(moved)
    spread = OUTLIER * 1.4826 * known.median() + 1e-6
    return weight / (1 + (match.residual / spread).square())


def gradients(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Return the central differences of [h,w] to the right and down, 0 at the border."""
    across, down = torch.zeros_like(plane), torch.zeros_like(plane)
    across[:, 1:-1] = (plane[:, 2:] - plane[:, :-2]) / 2
    down[1:-1] = (plane[2:] - plane[:-2]) / 2
    return across, down


def _joined(found: Similarity, update: Similarity, shrink: int) -> Similarity:
    """Return the similarity after a small update, whose shift is in px of a level."""
    x, y = (old + shrink * new for old, new in zip(found.shift, update.shift, strict=True))
    return Similarity((x, y), found.scale + update.scale, found.rotation + update.rotation)
