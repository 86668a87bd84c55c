"""A round Gaussian window, each pair of whose pixels is compared once for both.

Two neighbours are as alike for the one as for the other, so half of the window is walked through.
"""

import math
from collections.abc import Iterator

from torch import Tensor

WINDOW_SIGMA = 2.0  # px, as of the cost
STRIP_VALUES = 32_768  # numbers of a plane at once: what a processor keeps close at hand


def half_steps(reach: int) -> list[tuple[int, int, float]]:
    """Return (dy, dx, weight) of half of the window without its middle, whose weight is 1.

    Example:
        >>> [(dy, dx) for dy, dx, _ in half_steps(1)]
        [(0, 1), (1, -1), (1, 0), (1, 1)]
    """
    steps = range(-reach, reach + 1)
    return [
        (dy, dx, math.exp((dy * dy + dx * dx) / (-2 * WINDOW_SIGMA**2)))
        for dy in steps
        for dx in steps
        if (dy, dx) > (0, 0) and dy * dy + dx * dx <= reach * reach + 1
    ]


def both_ways(pairs: Tensor, dy: int, dx: int, reach: int) -> tuple[Tensor, Tensor]:
    """Return what pixels have with the neighbour at a step, and with the one opposite, [..,h,w].

    Args:
        pairs: [..,h+2·reach,w+2·reach], of each pixel, and padding, with the one at the step.
        dy: px down, of the step.
        dx: px to the right.
        reach: px, of the padding.
    """
    return shifted(pairs, 0, 0, reach), shifted(pairs, -dy, -dx, reach)


def shifted(padded: Tensor, dy: int, dx: int, reach: int) -> Tensor:
    """Return the neighbours at a step, [..,h,w], in padded planes [..,h+2·reach,w+2·reach]."""
    height, width = (side - 2 * reach for side in padded.shape[-2:])
    top, left = reach + dy, reach + dx
    return padded[..., top : top + height, left : left + width]


def strips(height: int, width: int, reach: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows of a picture, and the same with what is around them in the padded picture."""
    rows = max(1, STRIP_VALUES // width)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        yield slice(first, last), slice(first, last + 2 * reach)
