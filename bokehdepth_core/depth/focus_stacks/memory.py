"""How much memory joining a focus stack takes: the most of its steps, in numbers of 4 bytes.

The counts were read off `benchmarks/node_memory.py`, which notes what torch holds.
"""

import math

from ..alignment.registration import FINEST_SIDE
from ..sweep.calibration_memory import frame_radii_numbers
from ..sweep.matching.candidates import QUICK_SIDE

# Of the picture, and with each frame.
_MERGED = (33, 3)  # one frame's part smoothed
_COMPARED = (7, 6)  # votes and detail of all frames
_MOVED = (27, 6)
_REPLACED = (3, 9)  # frames as they were, moved, and moved ones joined
_MEASURED = (6, 0)  # picture, and number and support of the sharpest frame
# Of the reduced pictures that are aligned, and with each.
_ALIGNED = (110, 1.1)
_PICTURE = 3  # numbers of a pixel
_MARGIN = 1.04


def focus_stack_memory(
    height: int,
    width: int,
    frames: int,
    *,
    align: bool = True,
    measured: bool = True,
    moved: bool = False,
) -> int:
    """Return an estimate of the bytes that `focus_stack_from_frames` takes beyond the frames.

    Args:
        height: of the pictures, px.
        width: of the pictures, px.
        frames: of the stack.
        align: whether frames are brought onto each other.
        measured: whether focus depths or strength are not known.
        moved: whether the frames are copied to another device first.

    Example:
        >>> focus_stack_memory(512, 512, 4) // 2**20  # MiB
        59
    """
    pixels, side = height * width, min(height, width)

    def counted(each: tuple[float, float]) -> float:
        return each[0] + each[1] * frames

    kept = _PICTURE * frames * pixels if align else 0  # the frames in place
    steps = [kept + pixels * counted(_MERGED), kept + pixels * counted(_COMPARED)]
    if align:
        shrink = max(1, -(-side // FINEST_SIDE))
        small = (height // shrink) * (width // shrink)
        steps.append(kept + _PICTURE * pixels + small * counted(_ALIGNED))
        steps += [pixels * counted(_MOVED), pixels * counted(_REPLACED)]
    if measured:
        shrink = max(1, side // QUICK_SIDE)
        size = (height // shrink, width // shrink)
        shown = _PICTURE * (frames + 1) * size[0] * size[1]
        seen = shown + frame_radii_numbers(*size, frames)
        steps.append(kept + pixels * counted(_MEASURED) + seen)
    most = max(steps)
    if moved:
        most += _PICTURE * frames * pixels
    return math.ceil(_MARGIN * 4 * most)
