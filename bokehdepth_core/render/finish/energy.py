"""No light below black, without adding any.

The transform of a lens's point spread function is cut off at the pixel grid, so beside a small
lamp on black the blurred picture rings below zero. To cut that off alone would add light: 7 % of a
lamp of one pixel at a radius of 3 px. It is taken from the light around instead, in proportion.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

AROUND = 12  # px, from which light is taken
ROUNDING = 1e-5  # of white; less light than that around gives none
CELL = 33  # px, of the squares in which is looked for what is missing
LEAST_MISSING = 1e-3  # of the light of a square; to add less is not seen


def above_black(light: Tensor, black: Tensor) -> Tensor:
    """Return light [C,H,W] with none below `black`, and as much of it in all as before.

    Light p above black, and q missing to it, within B, the sum over ± `AROUND` px:
    p·(1 − B(q / B(p))). Each missing q is taken from its own surroundings.

    Example:
        >>> light = torch.zeros(1, 9, 9)
        >>> light[0, 4, 4], light[0, 4, 5] = 1.0, -0.25
        >>> above_black(light, torch.tensor(0.0)).max(), above_black(light, torch.tensor(0.0)).sum()
        (tensor(0.7500), tensor(0.7500))
    """
    missing = (black - light).clamp_(min=0)
    lost = _of_cells(missing)
    gained = _of_cells(light - black) + lost
    if not (lost > LEAST_MISSING * gained + ROUNDING / CELL**2).any():
        return light.clamp(min=black)
    above = (light - black).clamp_(min=0)
    wanted = missing / _sum_around(above).clamp(min=ROUNDING)
    return above * (1 - _sum_around(wanted)).clamp(min=0) + black


def _of_cells(planes: Tensor) -> Tensor:
    """Return the means over squares, which lie alike from both ends, [C,h,w] of [C,H,W]."""
    border = []
    for side in (planes.shape[2], planes.shape[1]):
        count = -(-side // CELL)
        count += (count * CELL - side) % 2  # an odd side of squares makes what is left even
        border += [(count * CELL - side) // 2] * 2
    return F.avg_pool2d(F.pad(planes, border)[None], CELL)[0]


def _sum_around(planes: Tensor) -> Tensor:
    """Return the sums over squares of ± `AROUND` px, [C,H,W]; windows grow by doubling."""
    length = 2 * AROUND + 1
    for axis in (1, 2):
        side = planes.shape[axis]
        border = (0, 0, AROUND, AROUND) if axis == 1 else (AROUND, AROUND)
        part, width, total, at = F.pad(planes, border), 1, torch.zeros_like(planes), 0
        while True:
            if length & width:
                total = total + part.narrow(axis, at, side)
                at += width
            if 2 * width > length:
                break
            count = part.shape[axis] - width
            part = part.narrow(axis, 0, count) + part.narrow(axis, width, count)
            width *= 2
        planes = total
    return planes
