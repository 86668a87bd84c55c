"""Frames that cannot be what their strengths say: not blurred, equally blurred, or out of order.

Each frame's blur is measured without the others, on a small copy of the stack, and compared in
words with its strength.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch.nn import functional

from ...callbacks import CheckCancelled, never_cancelled
from ...datatypes import BokehStack
from .calibration import ENOUGH_PIXELS, calibrate_stack

SMALL_SIDE = 256  # px, shorter side of the copy
NOT_BLURRED = 0.15  # of its strength that a frame without blur looks like at most
ALIKE = 0.12  # relative difference of two strengths that look the same
BLOCK = 8  # px, side of the blocks whose detail is compared
TEXTURED = 2e-4  # mean squared gradient of sRGB above which a block has detail to lose
LOST = 0.8  # of its detail: a block that keeps more looks unblurred
# … and the share of the textured blocks that may lose more: noise of 10/255 takes it from 0.02 to
# 0.04 of them (pub1-4), a blur of K = 10 from 0.7 on.
FEW_BLOCKS = 0.05


def frame_faults(
    stack: BokehStack, *, check_cancelled: CheckCancelled = never_cancelled
) -> tuple[str, ...]:
    """Return what is wrong with a stack's frames, a sentence each; none where nothing is found.

    Stacks with too few textured pixels to tell give nothing; of one frame it is told only whether
    it is blurred at all.

    Args:
        stack: frames of one focus plane.
        check_cancelled: raises to stop.

    Example:
        >>> photo = torch.rand(24, 32, 3)
        >>> frame_faults(BokehStack(photo, photo[None], (10.0,)))
        ('no frame is blurred: each is as sharp as the reference, so depth cannot be told',)
    """
    if stack.focus_depths is not None:
        return ()
    small = _small(stack)
    if _keep_their_detail(small):
        return ("no frame is blurred: each is as sharp as the reference, so depth cannot be told",)
    if len(set(stack.strengths)) < 2:
        return ()
    found = calibrate_stack(small, check_cancelled=check_cancelled)
    if found.confident_pixels < ENOUGH_PIXELS // 4:
        return ()
    pairs = zip(stack.strengths, found.frame_scales, strict=True)
    return faults_of(stack.strengths, [strength * scale for strength, scale in pairs])


def faults_of(stated: Sequence[float], measured: Sequence[float]) -> tuple[str, ...]:
    """Return sentences on frames whose measured strengths, px·m, cannot be the stated ones.

    Example:
        >>> faults_of((10, 20, 30), (10.1, 24.2, 25.8))
        ('frames 2 and 3 are equally blurred: their strengths look like 24 and 26',)
        >>> faults_of((10, 20), (20.0, 10.0))
        ('frames 1 and 2 are out of order: their strengths look like 20 and 10',)
    """
    still = [
        index
        for index, pair in enumerate(zip(stated, measured, strict=True))
        if pair[1] < NOT_BLURRED * pair[0]
    ]
    said = [f"frame {index + 1} is not blurred" for index in still]
    for one, other in combinations(range(len(stated)), 2):
        if one in still or other in still:
            continue
        low, high = sorted((one, other), key=stated.__getitem__)
        if stated[high] <= (1 + ALIKE) * stated[low]:
            continue
        if measured[low] > (1 + ALIKE) * measured[high]:
            fault = "out of order"
        elif measured[high] < (1 + ALIKE) * measured[low]:
            fault = "equally blurred"
        else:
            continue
        said.append(
            f"frames {one + 1} and {other + 1} are {fault}: their strengths look like "
            f"{measured[one]:.0f} and {measured[other]:.0f}"
        )
    return tuple(said)


def _keep_their_detail(stack: BokehStack) -> bool:
    """Return whether every frame is as sharp as the reference wherever that has detail."""
    pictures = torch.cat([stack.reference[None], stack.frames]).to(torch.float32).mean(-1)
    across = pictures.diff(dim=2)[:, :-1].square() + pictures.diff(dim=1)[:, :, :-1].square()
    if min(across.shape[1:]) < BLOCK:  # too small to hold any
        return False
    detail = functional.avg_pool2d(across[:, None], BLOCK)[:, 0]
    textured = detail[0] > TEXTURED
    if not textured.any():
        return False
    kept = detail[1:, textured] / detail[0, textured]
    return bool(((kept < LOST).float().mean(1) < FEW_BLOCKS).all())


def _small(stack: BokehStack) -> BokehStack:
    """Return the stack with averaged pixels; its strengths stay, so radii shrink alike."""
    shrink = max(1, min(stack.reference.shape[:2]) // SMALL_SIDE)
    if shrink == 1:
        return stack
    small = []
    for images in (stack.reference[None], stack.frames):
        planes = images.to(torch.float32).permute(0, 3, 1, 2)
        small.append(functional.avg_pool2d(planes, shrink).permute(0, 2, 3, 1))
    return replace(stack, reference=small[0][0], frames=small[1])
