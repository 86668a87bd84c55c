"""Thin things in soft depth: their depth and their edges, found with the help of the photo.

Depth that is coarser than the photo, or blurred, shows a wire as a wide and faint dent: neither its
width nor its depth is there. Where the whole depth map is a blurred picture of itself, it is made
sharp by deconvolution along the edges of the photo (`deconvolution.py`), and thin things are taken
from that. Elsewhere depth stays as it is: an edge between wide surfaces shows both depths.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...callbacks import CheckCancelled
from ..tiles import Tile
from .deconvolution import deconvolve, gaussian
from .discontinuities import largest_within
from .ramps import Ramps
from .softness import edge_softness

FACTORS = (1.0, 1.25, 1.55)  # times the softness at edges, that are tried
TRIAL_STEPS = 10
WIDER = 1.09  # times the best of them: too wide a blur harms less than too narrow a one
SOFTEST, SHARPEST = 6.0, 0.7  # px, spreads between which depth is deblurred
LARGEST_TILE = 288  # px, side of what is deconvolved at once; it takes 30 planes
HALO = 7.0  # spreads around a tile that are worked on with it

# The rules below are in spreads of the blur; all tuned as those of `deconvolution.py`.
THIN = 1.5  # half the width of what is thin
WIDE = 2.5  # how far the depth of a wide surface is looked for
AROUND = 1.5  # how far around a dent depth is made sharp
FAINT = 0.2  # of the rise around, below which a dent is none
LARGEST_GAIN = 4.0  # times its dent, by which a thin thing may stand out of wide surfaces
MISFIT = 0.12  # of the rise around: more is depth that is no blurred picture of what was found
LARGEST_MISFIT = 0.2  # share of what is thin that may be misfit
LEFT_SOFT = 1.2  # px, spread of the ramps in which the photo's colours then place every edge


@dataclass(frozen=True, eq=False)
class Deblurred:
    """Disparity whose thin things are sharp.

    Attributes:
        sharp: [H,W], 1/m.
        ramped: [H,W], 1/m, the same with short ramps at the edges that were made.
        changed: [H,W], bool, where it is not what was given.
    """

    sharp: Tensor
    ramped: Tensor
    changed: Tensor


def deblurred(
    picture: Tensor,
    disparity: Tensor,
    ramps: Ramps,
    visible: Tensor,
    check_cancelled: CheckCancelled,
) -> Deblurred | None:
    """Return disparity whose thin things are sharp; None where there are none, or no blur is seen.

    Args:
        picture: [3,H,W], sRGB, 0…1.
        disparity: [H,W], 1/m.
        ramps: of it.
        visible: the rise of disparity above which an edge is one.
        check_cancelled: raises to stop.
    """
    measured = edge_softness(disparity, ramps)
    if measured == 0:
        return None
    dented = _dents(disparity, measured, visible)
    if not dented.any():
        return None
    spread = WIDER * blurred_by(picture, disparity, dented, measured, check_cancelled)
    if not SHARPEST <= spread <= SOFTEST:
        return None
    near_ramps = disparity.new_zeros(disparity.numel())
    near_ramps[ramps.pixel] = 1.0
    near_ramps = largest_within(near_ramps.view_as(disparity), _px(2.0, spread)) > 0
    out = Deblurred(disparity.clone(), disparity.clone(), torch.zeros_like(near_ramps))
    thin, misfit, limits = 0, 0, disparity.aminmax()
    for tile in _tiles(disparity, spread):
        seen = tile.seen
        if not dented[seen].any():
            continue
        part = disparity[seen]
        colors = picture[:, seen[0], seen[1]]
        found = deconvolve(colors, part, spread, limits, check_cancelled).disparity
        sharp, changed = _limited(found, part, spread, visible)
        inner = (changed & near_ramps[seen])[tile.inner]
        thin += int(inner.sum())
        misfit += int((_misfit(sharp, part, spread)[tile.inner] & inner).sum())
        for whole, own in ((out.sharp, sharp), (out.ramped, gaussian(sharp, LEFT_SOFT))):
            whole[tile.kept] = torch.where(inner, own[tile.inner], whole[tile.kept])
        out.changed[tile.kept] = inner
    return out if thin and misfit <= LARGEST_MISFIT * thin else None


def blurred_by(
    picture: Tensor,
    disparity: Tensor,
    dented: Tensor,
    measured: float,
    check_cancelled: CheckCancelled,
) -> float:
    """Return the spread, px, by which sharp depth was blurred, of some around a measured one.

    It is that whose deconvolution agrees best with the photo: with the least weighted total
    variation over the root of the plain one, on pictures of half the size.

    Args:
        picture: [3,H,W], sRGB, 0…1.
        disparity: [H,W], 1/m.
        dented: [H,W], bool, where thin things may be; elsewhere nothing is tried.
        measured: px, the spread at edges.
        check_cancelled: raises to stop.
    """
    small = torch.stack([_halved(plane[None])[0] for plane in (*picture, disparity)])
    limits = disparity.aminmax()
    there = _halved(dented[None].to(disparity))[0] > 0
    tiles = [one for one in _tiles(there, FACTORS[-1] * measured / 2) if there[one.seen].any()]
    best, least = 0.0, float("inf")
    for factor in FACTORS:
        spread = factor * measured
        if spread < 1:  # half a pixel of half the size
            continue
        weighted = plain = 0.0
        for tile in tiles:
            part = small[:, tile.seen[0], tile.seen[1]]
            found = deconvolve(part[:3], part[3], spread / 2, limits, check_cancelled, TRIAL_STEPS)
            weighted, plain = weighted + found.weighted, plain + found.plain
        apart = weighted / max(plain, 1e-9) ** 0.5
        if apart < least:
            best, least = spread, apart
    return best


def _limited(found: Tensor, given: Tensor, spread: float, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Return deconvolved disparity without what only rings, and where it is worth having, [H,W].

    It lies between the depths of wide surfaces around. Beyond them goes what is a dent in the given
    depth too, and no farther than `LARGEST_GAIN` times as far. It is worth having around bumps.
    """
    narrow, wide, beside = (_px(one, spread) for one in (THIN, WIDE, 1.0))
    least, opened, closed = _without_thin(given, narrow, visible)
    bumps = (largest_within(given - opened, beside) - least).clamp(min=0)
    pits = (largest_within(closed - given, beside) - least).clamp(min=0)
    highest = largest_within(opened, wide) + LARGEST_GAIN * bumps
    lowest = -largest_within(-closed, wide) - LARGEST_GAIN * pits
    thin = (bumps > 0).to(given)
    changed = largest_within(thin, _px(AROUND, spread)) > 0
    return torch.minimum(torch.maximum(found, lowest), highest), changed


def _misfit(sharp: Tensor, given: Tensor, spread: float) -> Tensor:
    """Return where the given disparity is no blurred picture of a sharp one, [H,W], bool."""
    off = gaussian((gaussian(sharp, spread) - given).abs_(), spread)
    reach = _px(WIDE, spread)
    return off > MISFIT * (largest_within(given, reach) + largest_within(-given, reach))


def _dents(given: Tensor, spread: float, visible: Tensor) -> Tensor:
    """Return where the given disparity may hold thin things, which are near, [H,W], bool."""
    least, opened, _ = _without_thin(given, _px(THIN, spread), visible)
    return given - opened > least


def _without_thin(given: Tensor, reach: int, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is no dent yet, and disparity without thin bumps and without thin pits, [H,W].

    Morphological opening and closing by a square. What the border cuts off counts as wide.
    """
    height, width = given.shape
    far = 2 * reach
    wide = F.pad(given[None, None], (far,) * 4, mode="replicate")[0, 0]
    top, low = largest_within(wide, reach), -largest_within(-wide, reach)
    least = torch.maximum(FAINT * (top - low), visible)
    opened, closed = largest_within(low, reach), -largest_within(-top, reach)
    own = (slice(far, far + height), slice(far, far + width))
    return least[own], opened[own], closed[own]


def _halved(planes: Tensor) -> Tensor:
    """Return planes [C,⌈H/2⌉,⌈W/2⌉] of half the size, alike where they are mirrored."""
    for axis in (1, 2):
        side = planes.shape[axis]
        if side % 2:  # every second pixel, and half of those beside it
            edge = (0, 0, 1, 1) if axis == 1 else (1, 1, 0, 0)
            planes = F.pad(planes[None], edge, mode="replicate")[0]
        first, second = _every_second(planes, axis, 0), _every_second(planes, axis, 1)
        if side % 2:
            count = second.shape[axis]
            ends = first.narrow(axis, 0, count) + first.narrow(axis, 1, count)
            planes = ends / 4 + second / 2
        else:
            planes = (first + second) / 2
    return planes


def _every_second(planes: Tensor, axis: int, start: int) -> Tensor:
    return planes[:, start::2] if axis == 1 else planes[:, :, start::2]


def _tiles(plane: Tensor, spread: float) -> list[Tile]:
    """Return tiles of a plane [H,W] that lie alike in a mirrored one."""
    halo = _px(HALO, spread)
    rows, columns = (_cut(side, halo) for side in plane.shape)
    return [
        Tile((down[0], right[0]), (down[1], right[1]), (down[2], right[2]))
        for down in rows
        for right in columns
    ]


def _cut(side: int, halo: int) -> list[tuple[slice, slice, slice]]:
    """Return of an odd number of parts of a side what is seen, what is kept, and that within.

    The one in the middle takes what the others, which are all as long, leave.
    """
    most = max(LARGEST_TILE - 2 * halo, 2 * halo)
    count = 1
    while side - (count - 1) * (side // count) > (LARGEST_TILE if count == 1 else most):
        count += 2
    each, found, start = side // count, [], 0
    for number in range(count):
        end = start + (side - (count - 1) * each if number == count // 2 else each)
        first = max(0, start - halo)
        seen, inner = slice(first, min(side, end + halo)), slice(start - first, end - first)
        found.append((seen, slice(start, end), inner))
        start = end
    return found


def _px(times: float, spread: float) -> int:
    """Return a whole number of px, one or more, of so many spreads."""
    return max(1, int(times * spread + 0.5))
