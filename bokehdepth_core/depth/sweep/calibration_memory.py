"""How much memory calibration takes: the most of its steps, in numbers of 4 bytes.

The counts were read off `benchmarks/node_memory.py`, which notes what torch holds.
"""

import math
from collections.abc import Sequence

from ...callbacks import CheckCancelled, never_cancelled
from ...datatypes import BokehStack
from .matching.candidates import USUAL_RADIUS, candidate_radii, radius_ladder

# Of the picture, with each frame, with each frame and candidate; of the steps after one another.
_FRAMES_READ = (27, 9, 0.0)
_CANDIDATE = (39, 5, 0.25)
_COMPARED = (4, 7, 0.5)
_PICTURE = 3  # numbers of a pixel
_MARGIN = 1.03


def calibration_memory(
    stack: BokehStack,
    *,
    moved: bool = False,
    check_cancelled: CheckCancelled = never_cancelled,
) -> int:
    """Return an estimate of the bytes that `calibrate_stack` takes beyond the stack itself.

    A quick look at small pictures of the stack tells how many radii will be tried.

    Args:
        stack: what will be calibrated, on any device.
        moved: whether the stack is copied to another device first.
        check_cancelled: raises to stop.

    Example:
        >>> import torch
        >>> photo = torch.rand(64, 64, 3)
        >>> stack = BokehStack(photo, torch.stack([photo, photo]), (5.0, 10.0))
        >>> calibration_memory(stack) // 2**10  # KiB
        848
    """
    height, width = stack.reference.shape[:2]
    frames = len(stack.strengths)
    radii = candidate_radii(stack, range(frames), check_cancelled)
    most = frame_radii_numbers(height, width, frames, radii)
    if moved:
        most += _PICTURE * (frames + 1) * height * width
    return math.ceil(_MARGIN * 4 * most)


def frame_radii_numbers(
    height: int, width: int, frames: int, radii: Sequence[float] | None = None
) -> float:
    """Return how many numbers `frame_radii` holds at once beyond the stack.

    Args:
        height: of the pictures, px.
        width: of the pictures, px.
        frames: of the stack.
        radii: those tried, px; None for those that are always tried.

    Example:
        >>> frame_radii_numbers(512, 512, 3) / 512**2  # of a pixel
        74.25
    """
    tried = radius_ladder(USUAL_RADIUS * min(height, width)) if radii is None else radii
    steps = (
        once + each * frames + pair * frames * len(tried)
        for once, each, pair in (_FRAMES_READ, _CANDIDATE, _COMPARED)
    )
    return height * width * max(steps)
