"""Drafts: the picture through the lens at half its size, and what is in focus at full size.

A blur of a few px holds no detail finer than two px, so a quarter of the pixels is enough for it.
What is in focus is taken from the full picture, behind whatever blurred foreground covers it.
"""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ..devices import exact_dtype
from .scene.discontinuities import EDGE_STEP, find_depth_edges, largest_within
from .scene.matting import without_near_side
from .scene.symmetry import Order
from .slices.compositing import SHARP_RADIUS

# Blur, px, from which on half the size holds all detail there is. Tuned on drafts of the public
# scenes of `docs/render.md`: 35.01 dB; 34.92 at 1.5, 34.94 at 2.5. Now 35.35 dB, as cells of which
# half is near are taken for far, and only pixels beside what is in focus are parted.
BLURRED_RADIUS = 2.0

RenderHalf = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def render_at_half_size(light: Tensor, defocus: Tensor, render_half: RenderHalf) -> Tensor:
    """Return the picture through the lens, [3,H,W], linear light, from a quarter of the pixels.

    Args:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
        render_half: renders light [3,h,w] and defocus [h,w], px of that size, to light [3,h,w] and
            its blurred foreground [4,h,w], as `composite_with_foreground`.
    """
    height, width = defocus.shape
    clean = _parted_beside_focus(light, defocus)
    halves = render_half(*halved(clean, defocus))
    blurred, foreground = (_doubled(half, (height, width)) for half in halves)
    in_focus = clean.mul_(1 - foreground[3:]).add_(foreground[:3])
    sharpness = 1 - (defocus.abs() - SHARP_RADIUS) / (BLURRED_RADIUS - SHARP_RADIUS)
    return torch.lerp(blurred, in_focus, sharpness.clamp_(0, 1), out=blurred)


def _parted_beside_focus(light: Tensor, defocus: Tensor) -> Tensor:
    """Return light [3,H,W] without what near things add to what lies behind, where one is in focus.

    Of what is blurred on both sides mixed pixels are parted at half the size alone.
    """
    beside_focus = largest_within(-defocus.abs(), 1) > -BLURRED_RADIUS
    edges = find_depth_edges(defocus, Order(light), beside_focus)
    return without_near_side(light, defocus, edges)


def _doubled(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return planes [C,h,w] at their full size again, [C,H,W], interpolated linearly."""
    # Where a side is odd, the first and the last pixel lie on those of full size.
    odd_height, odd_width = (side % 2 == 1 for side in size)
    steps = [(size, odd_height)]
    if odd_height != odd_width:
        steps = [((planes.shape[1], size[1]), odd_width), (size, odd_height)]
    wide = planes[None]
    for one, odd in steps:
        wide = F.interpolate(wide, one, mode="bilinear", align_corners=odd)
    return wide[0]


def halved(light: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
    """Return light [3,⌈H/2⌉,⌈W/2⌉] and defocus, px of that size, of one side of each depth edge.

    A pixel of half the size is the mean of a cell of 2 x 2 px. Along an odd side it is that of
    three with the weights ¼, ½, ¼, around each second one, so that both ends are alike. Of cells
    that an edge crosses, only the nearer or the farther pixels are averaged, whichever are more
    (the farther ones where both are as many). So no pixel mixes both sides.

    Args:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
    """
    cells = [_along(row, 2) for row in _along(torch.cat([light, defocus[None]]), 1)]
    out = _mean(cells)
    low, high = (
        reduce(choose, [part[-1] for row in cells for part in row])
        for choose in (torch.minimum, torch.maximum)
    )
    row, column = (high - low > EDGE_STEP).nonzero(as_tuple=True)
    cells = [[part[:, row, column] for part in line] for line in cells]
    out[:, row, column] = _of_one_side(cells, low[row, column], high[row, column])
    return out[:-1], out[-1] / 2


def _of_one_side(cells: list[list[Tensor]], low: Tensor, high: Tensor) -> Tensor:
    """Return light and defocus, [C + 1,N], of the one side of cells that an edge crosses.

    Args:
        cells: rows of pixels, [C + 1,N] each, whose last plane is the defocus.
        low: [N], px, the least defocus of each cell.
        high: [N], px, the greatest.
    """
    own = [[part[-1] for part in row] for row in cells]
    # Summed exactly: rounding would decide where as many pixels are near as far.
    exact = exact_dtype(low.device)
    mean = _mean([[part.to(exact) for part in row] for row in own])
    chosen = torch.where(mean > (low.to(exact) + high) / 2, high, low)
    middle, side = (low + high) / 2, (chosen - low) - (high - chosen)
    member = [[((part - middle) * side >= 0).to(low) for part in row] for row in own]
    seen = [
        [part[:-1] * mask for part, mask in zip(*row, strict=True)]
        for row in zip(cells, member, strict=True)
    ]
    return torch.cat([_mean(seen) / _mean(member), chosen[None]])


def _along(planes: Tensor, axis: int) -> list[Tensor]:
    """Return the pixels [C,H,W] of each cell along an axis in turn, as a plane for each."""
    length = planes.shape[axis]
    if length % 2 == 0:
        return [planes[_every_second(axis, start)] for start in (0, 1)]
    first, last = planes.narrow(axis, 0, 1), planes.narrow(axis, length - 1, 1)
    beside = planes[_every_second(axis, 1)]
    before, after = torch.cat([first, beside], axis), torch.cat([beside, last], axis)
    return [before, planes[_every_second(axis, 0)], after]


def _every_second(axis: int, start: int) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, slice(start, None, 2))


def _mean(cells: list[list[Tensor]]) -> Tensor:
    """Return the weighted mean of the rows and columns of pixels of cells."""
    return _weighted([_weighted(row) for row in cells])


def _weighted(parts: list[Tensor]) -> Tensor:
    ends = parts[0] + parts[-1]
    return ends / 2 if len(parts) == 2 else (ends + 2 * parts[1]) / 4
