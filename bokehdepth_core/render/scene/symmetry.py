"""Rules by which a mirrored photo gives the mirrored picture.

Where several pixels are equally good, as the neighbours that are as near or as high, the first one
in the order of rows and columns is another one in a mirrored photo. So it is chosen by what the
photo shows there. Sums over a window are added in pairs of pixels that mirror each other, since
rounding depends on the order, and a rounding may decide on which side of a threshold a pixel is.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import rows_at_once

BITS = 10  # of each channel
WINDOW = 5  # px, side of the square whose light counts
_FACTORS = (10848494841503, 15471230973355, 13890891288063, 12747587906283)
"""Odd ones of 44 bits, drawn at random; sums of products with 17 bits stay below 2⁶³."""

ORDERS = 2**24
"""How many orders there are: whole numbers that float32 holds exactly."""

SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
"""Offsets (dy, dx) to the neighbours that share a side with a pixel."""

CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Offsets (dy, dx) to those that share a corner."""


def order_of(picture: Tensor) -> Tensor:
    """Return a number for every pixel, [H,W], by which one of several equal ones is chosen.

    It is whole, below 2²⁴ and so exact in float32: a hash of the pixel's colour and of the light of
    a square around. Pixels of the same number look alike, and any of them will do.

    Reference:
        Lemire and Kaser, "Strongly universal string hashing is fast", Comput. J. 2014: multilinear.

    Args:
        picture: [C,H,W], light or sRGB; its first three channels count, from 0 to 1.

    Example:
        >>> picture = torch.zeros(3, 4, 5)
        >>> picture[:, 1, 2] = 1.0
        >>> order = order_of(picture)
        >>> torch.equal(order.flip(1), order_of(picture.flip(2)))
        True
    """
    height, width = picture.shape[1:]
    out, reach = picture.new_empty(height, width), WINDOW // 2
    for rows in rows_at_once(height, width, picture.device):
        top, bottom = max(0, rows.start - reach), min(height, rows.stop + reach)
        outside = (top - rows.start + reach, rows.stop + reach - bottom)
        own = slice(rows.start - top, rows.stop - top)
        out[rows] = _order_of_rows(picture[:3, top:bottom], own, outside)
    return out


def _order_of_rows(colors: Tensor, own: slice, outside: tuple[int, int]) -> Tensor:
    """Return the order of some rows of colours [C,h,W], which lie `outside` the picture by rows."""
    number = torch.zeros(own.stop - own.start, colors.shape[2], dtype=torch.int64).to(colors.device)
    around = torch.zeros_like(colors[0])
    for channel, factor in zip(colors, _FACTORS[1 : 1 + len(colors)], strict=True):
        level = channel.clamp(0, 1).mul_(2**BITS - 1).round_()
        around += level
        number += level[own].long().mul_(factor)
    # Whole sums, which are exact in any order.
    around = F.pad(around, (WINDOW // 2, WINDOW // 2, *outside))
    for axis in (0, 1):
        side = around.shape[axis] - WINDOW + 1
        first, second, *rest = (around.narrow(axis, start, side) for start in range(WINDOW))
        around = first + second
        for part in rest:
            around += part
    number += around.long().mul_(_FACTORS[0])
    # Bits 24 to 47, moved down as a float32, which holds them exactly: MPS has no shifts.
    return number.bitwise_and_((ORDERS - 1) * ORDERS).to(colors.dtype).mul_(1 / ORDERS)


def mirrored_sum(radius: int, term: Callable[[int, int], Tensor]) -> Tensor:
    """Return the sum of term(dy, dx) over all other pixels of a square window.

    It is the same to the last bit where the window is mirrored or turned by a quarter.

    Args:
        radius: px, of the window to each side.
        term: the summand of an offset.

    Example:
        >>> mirrored_sum(1, lambda dy, dx: torch.tensor(10.0 * dy + dx + 1))
        tensor(8.)
    """

    def both_ways(dy: int, dx: int) -> Tensor:
        return term(dy, dx) + term(-dy, -dx)

    total: Tensor | None = None
    for far in range(1, radius + 1):
        for near in range(far + 1):
            part = both_ways(far, near)
            if near == 0:
                part = part + both_ways(0, far)
            else:
                part = part + both_ways(far, -near)
                if near < far:
                    part = part + (both_ways(near, far) + both_ways(near, -far))
            total = part if total is None else total + part
    if total is None:
        raise ValueError(f"radius: expected 1 or more, found {radius}.")
    return total
