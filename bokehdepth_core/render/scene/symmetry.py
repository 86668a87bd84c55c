"""Rules by which a mirrored photo gives the mirrored picture.

Where several pixels are equally good, as the neighbours that are as near or as high, the first one
in the order of rows and columns is another one in a mirrored photo. So it is chosen by what the
photo shows there. Sums over a window are added in pairs of pixels that mirror each other, since
rounding depends on the order, and a rounding may decide on which side of a threshold a pixel is.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

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


class Order:
    """A number for every pixel, by which one of several equal ones is chosen.

    It is whole, below 2²⁴ and so exact in float32: a hash of the pixel's colour and of the light of
    a square around. Pixels of the same number look alike, and any of them will do.

    Reference:
        Lemire and Kaser, "Strongly universal string hashing is fast", Comput. J. 2014: multilinear.

    Args:
        picture: [C,H,W], light or sRGB; its first three channels count, from 0 to 1.

    Example:
        >>> picture = torch.zeros(3, 4, 5)
        >>> picture[:, 1, 1] = 1.0
        >>> at = torch.tensor([1 * 5 + 1]), torch.tensor([1 * 5 + 3])
        >>> left, right = (int(Order(picture).at(one)) for one in at)
        >>> int(Order(picture.flip(2)).at(at[1])) == left != right
        True
    """

    def __init__(self, picture: Tensor) -> None:
        self._colors = picture[:3]

    def at(self, pixel: Tensor) -> Tensor:
        """Return the numbers of pixels, flat indices of any shape."""
        # Surroundings of few pixels are added up one by one, else those of the whole picture.
        few = WINDOW**2 * pixel.numel() < self._colors[0].numel()
        around = self._around_some(pixel) if few else self._around[pixel]
        number = around.long().mul_(_FACTORS[0])
        channels = self._colors.flatten(1)
        for channel, factor in zip(channels, _FACTORS[1 : 1 + len(channels)], strict=True):
            number += _level(channel[pixel]).long().mul_(factor)
        # Bits 24 to 47, moved down as a float32, which holds them exactly: MPS has no shifts.
        return number.bitwise_and_((ORDERS - 1) * ORDERS).float().mul_(1 / ORDERS)

    def _around_some(self, pixel: Tensor) -> Tensor:
        """Return what `_around` holds at some pixels."""
        height, width = self._colors.shape[1:]
        ways = torch.arange(-(WINDOW // 2), WINDOW // 2 + 1).to(pixel.device)
        row, column = ((at[..., None] + ways) for at in (pixel // width, pixel % width))
        inside = [(at >= 0) & (at < side) for at, side in ((row, height), (column, width))]
        place = (
            row.clamp_(0, height - 1)[..., None] * width + column.clamp_(0, width - 1)[..., None, :]
        )
        level = _level(self._colors.flatten(1)[:, place]).sum(0)
        return (level * inside[0][..., None] * inside[1][..., None, :]).sum((-1, -2))

    @cached_property
    def _around(self) -> Tensor:
        """The light of a square around every pixel, [H·W]."""
        height, width = self._colors.shape[1:]
        out, reach = self._colors.new_empty(height, width), WINDOW // 2
        for rows in rows_at_once(height, width, out.device):
            top, bottom = max(0, rows.start - reach), min(height, rows.stop + reach)
            outside = (top - rows.start + reach, rows.stop + reach - bottom)
            out[rows] = _light_around(self._colors[:, top:bottom], outside)
        return out.flatten()


def _level(channel: Tensor) -> Tensor:
    return channel.clamp(0, 1).mul_(2**BITS - 1).round_()


def _light_around(colors: Tensor, outside: tuple[int, int]) -> Tensor:
    """Return sums over squares of rows of colours [C,h,W], which lie `outside` the picture by rows.

    They are whole, and so exact in any order.
    """
    around = _level(colors[0])
    for channel in colors[1:]:
        around += _level(channel)
    around = F.pad(around, (WINDOW // 2, WINDOW // 2, *outside))
    for axis in (0, 1):
        side = around.shape[axis] - WINDOW + 1
        first, second, *rest = (around.narrow(axis, start, side) for start in range(WINDOW))
        around = first + second
        for part in rest:
            around += part
    return around


def highest_by_order(
    heights: Tensor,
    offsets: Sequence[tuple[int, int]],
    pixels: tuple[Tensor, Tensor],
    size: tuple[int, int],
    order: Order,
) -> Tensor:
    """Return which of some neighbours of pixels is the highest, its number, [N], int64.

    Of several as high it is that of the highest order.

    Args:
        heights: [K,N], of K neighbours of each pixel.
        offsets: (dy, dx) to the K neighbours.
        pixels: rows and columns, [N] each.
        size: (height, width) of the picture; beyond its border it goes on as there.
        order: of its pixels.
    """
    highest = heights == heights.amax(0)
    number = highest.view(torch.uint8).argmax(0)
    tied = (highest.sum(0) > 1).nonzero()[:, 0]
    if len(tied):
        ways = torch.tensor(offsets).T.to(heights.device)
        down, right = (
            (at[tied] + way[:, None]).clamp_(0, side - 1)
            for at, way, side in zip(pixels, ways, size, strict=True)
        )
        rank = order.at(down * size[1] + right).masked_fill_(~highest[:, tied], -1)
        number[tied] = rank.argmax(0)
    return number


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
