"""How soft a depth map is: the spread, px, of the blur that parts it from sharp depth.

At an isolated edge that a Gaussian of spread s has blurred, the whole rise over the steepest slope
is s·√(2π). That is measured at ramps whose both ends lead on to a plateau. Flanks of thin things
that pass as such make the result too small, so a few wider spreads are tried as well (`blurred_by`
in `deblurring.py`).
"""

import math

import torch.nn.functional as F
from torch import Tensor

from .discontinuities import largest_within
from .ramps import Ramps

LEAST_EDGES = 20  # places at which softness is measured; with fewer, depth counts as sharp
PLATEAU = 0.2  # of the rise, that depth may change beyond the end of an isolated edge


def edge_softness(disparity: Tensor, ramps: Ramps) -> float:
    """Return the median spread, px, at the isolated soft edges of a depth map; 0 for too few.

    Args:
        disparity: [H,W], 1/m.
        ramps: of it.

    Example:
        >>> import torch
        >>> from .ramps import find_ramps
        >>> from .symmetry import Order
        >>> order = Order(torch.zeros(3, 64, 64))
        >>> place = torch.arange(64.0) - 31.5
        >>> disparity = torch.special.ndtr(place / 2).expand(64, -1) + 0.2  # blurred by 2 px
        >>> ramps = find_ramps(disparity, order, disparity.mean() / 50, lambda: None)
        >>> round(edge_softness(disparity, ramps), 1)
        2.0
    """
    if len(ramps.pixel) < LEAST_EDGES:
        return 0.0
    height, width = disparity.shape
    flat, slope = disparity.flatten(), _slope(disparity)
    steepest = (slope >= largest_within(slope, 1)).flatten()[ramps.pixel]
    pixel, near, far, length = (
        one[steepest] for one in (ramps.pixel, ramps.near_end, ramps.far_end, ramps.length)
    )
    rise = flat[near] - flat[far]
    spread = rise / (slope.flatten()[pixel] * math.sqrt(2 * math.pi))

    def beyond(end: Tensor) -> Tensor:
        """Return the disparity as far beyond an end as that is from the steepest pixel."""
        row = (2 * (end // width) - pixel // width).clamp(0, height - 1)
        column = (2 * (end % width) - pixel % width).clamp(0, width - 1)
        return flat[row * width + column]

    isolated = (beyond(near) > flat[near] - PLATEAU * rise) & (
        beyond(far) < flat[far] + PLATEAU * rise
    )
    # A spread that the whole ramp is too short for is measured on a plateau, not at its middle.
    spread = spread[isolated & (spread < length / 2)]
    return float(spread.median()) if len(spread) >= LEAST_EDGES else 0.0


def _slope(disparity: Tensor) -> Tensor:
    """Return the length of the gradient, [H,W], 1/m for each px."""
    wide = F.pad(disparity[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across, down = wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]
    return (across.square() + down.square()).sqrt() / 2
