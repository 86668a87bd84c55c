"""How much memory the sweep takes: the most of its steps, in numbers of 4 bytes.

The counts were read off `benchmarks/node_memory.py`, which notes what torch holds. They hold for
pictures whose tone curve was taken out, which are then copies of those given.
"""

import math

from ..alignment.registration import FINEST_SIDE
from .estimate import STRIP_VALUES
from .labelling.adaptive_support import MOST
from .matching.candidates import USUAL_RADIUS, radius_ladder
from .matching.tone import WORKING_SIDE

# Of the picture, with each frame, with each candidate; of the steps after one another.
_FRAMES_READ = (27, 12, 0.0)
_CANDIDATE = (66, 6, 0.25 + MOST)
_LABELLED, _OF_STRIP = (12, 4, 0.25 + MOST), 6.4  # and of a strip's candidates
_PICTURE = 3  # numbers of a pixel
_IN_ANOTHER_TONE = 2  # mostly all or none of its numbers are
# Of the reduced pictures that tone curve and alignment are found from, and of each frame there.
_TONE_FOUND = 96
_ALIGNED, _ALIGNED_FRAME = 110, 2
_MARGIN = 1.03


def sweep_memory(
    height: int, width: int, frames: int, *, align: bool = True, moved: bool = False
) -> int:
    """Return an estimate of the bytes that `sweep_depth` takes beyond the stack itself.

    Args:
        height: of the pictures, px.
        width: of the pictures, px.
        frames: of the stack.
        align: whether frames are aligned first.
        moved: whether the stack is copied to another device first.

    Example:
        >>> sweep_memory(512, 512, 3) // 2**20  # MiB
        118
    """
    pixels, side = height * width, min(height, width)
    candidates = len(radius_ladder(USUAL_RADIUS * side))

    def counted(each: tuple[float, float, float]) -> float:
        return each[0] + each[1] * frames + each[2] * candidates

    strip = _OF_STRIP * min(STRIP_VALUES, candidates * pixels)
    steps = [pixels * counted(_FRAMES_READ), pixels * counted(_CANDIDATE)]
    steps += [pixels * counted(_LABELLED) + strip]
    most = max(steps) + _IN_ANOTHER_TONE * (frames + 1) * pixels
    shown = pixels / max(1, side // WORKING_SIDE) ** 2
    most = max(most, _TONE_FOUND * shown)
    if align:
        small = pixels / max(1, -(-side // FINEST_SIDE)) ** 2
        most = max(most, (_ALIGNED + _ALIGNED_FRAME * frames) * small)
    if moved:
        most += _PICTURE * (frames + 1) * pixels
    return math.ceil(_MARGIN * 4 * most)
