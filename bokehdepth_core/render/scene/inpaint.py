"""Inpainting: colour and depth of the background that near things occlude.

A blurred foreground lets some of the background behind it through (disocclusion), which the photo
does not show. For every pixel the nearest place is found where a surface farther away comes into
view. Its colour goes on behind the foreground, as a mean over more pixels the farther away it is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...boxes import AT_ONCE
from ...callbacks import CheckCancelled, never_cancelled
from .discontinuities import (
    EDGE_STEP,
    EDGE_WIDTH,
    at_least,
    mean_around,
    pixels_beside,
    values_at,
)
from .nearest import NearestBackground, search_radius

SMOOTHINGS = 5  # wavelet scales of the inpainted colour, each twice as wide as the one before
NARROW = 3.5  # px from a depth edge within which background is taken from all sides
AROUND = 3  # px around such a pixel in which it is looked for

_SQUARE = [(y, x) for y in range(3) for x in range(3)]
_EXCHANGES = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


@dataclass(frozen=True, eq=False)
class BackgroundSample:
    """What the nearest background in view looks like, for every pixel.

    Attributes:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
        place: [H,W], int32, flat index of the pixel that it was taken at.
        origin: [H,W], int32, flat index of the depth edge behind which the background is in view.
    """

    light: Tensor
    defocus: Tensor
    place: Tensor
    origin: Tensor


def inpainting_support_radius(psf_radius: float) -> float:
    """Return the distance, px, up to which the picture decides what is inpainted at a pixel."""
    return search_radius(psf_radius) + float(2**SMOOTHINGS) + 3


def sample_background(
    light: Tensor, far_matted: Tensor, defocus: Tensor, nearest: NearestBackground
) -> BackgroundSample:
    """Return colour and defocus of the nearest background in view.

    The sample is taken `EDGE_WIDTH` px beyond the edge, whose own pixels are mixed. Within `NARROW`
    px of an edge it is the mean of the same background around, from all sides: so behind a thin
    thing the one side's colour passes into the other's.

    Args:
        light: [3,H,W], linear light.
        far_matted: [3,H,W], the same with its far-side edge pixels matted.
        defocus: [H,W], px, front positive.
        nearest: the nearest background in view.
    """
    there = torch.isfinite(nearest.distance).flatten().nonzero()[:, 0]
    height, width = defocus.shape
    rows, columns = there // width, there % width
    from_row, from_column, length = (
        plane.flatten()[there] for plane in (nearest.row, nearest.column, nearest.distance)
    )
    length = length.clamp(min=1)
    origin = from_row.long() * width + from_column.long()
    down, right = from_row - rows, from_column - columns
    ways = EDGE_WIDTH * down / length, EDGE_WIDTH * right / length
    row, column = pixels_beside((from_row, from_column), *ways, defocus)
    beyond, flat = row * width + column, defocus.flatten()
    at = torch.where((flat[beyond] - flat[origin]).abs() <= EDGE_STEP, beyond, origin)
    itself = torch.arange(height * width, dtype=torch.int32, device=defocus.device)
    place, edge = (itself.index_put((there,), one.int()) for one in (at, origin))
    color, behind = light.clone(), flat.index_put((there,), flat[at]).view_as(defocus)
    for before, plane in zip(light.flatten(1), color.flatten(1), strict=True):
        plane[there] = before[at]
    color = _median(color, rows, columns)
    narrow = (nearest.distance < NARROW).nonzero(as_tuple=True)
    limit, wanted = defocus[narrow] - EDGE_STEP, behind[narrow]
    mean, found = mean_around(
        far_matted,
        (narrow[0], narrow[1]),
        AROUND,
        3,
        lambda there, part: _same_background(values_at(flat, there), limit[part], wanted[part]),
    )
    color[:, narrow[0], narrow[1]] = torch.where(found, mean, color[:, narrow[0], narrow[1]])
    return BackgroundSample(color, behind, place.view_as(defocus), edge.view_as(defocus))


def _same_background(defocus: Tensor, limit: Tensor, wanted: Tensor) -> Tensor:
    """Return where a defocus lies below a limit and is that of a wanted background, bool."""
    return (defocus < limit) & ((defocus - wanted).abs_() < EDGE_STEP)


def smooth_inpainting(
    light: Tensor,
    defocus: Tensor,
    distance: Tensor,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return inpainted light, [3,H,W], as a mean over more of the background the farther it is.

    A pixel whose background comes into view d px away takes the mean over about d px of the same
    surface. Without it every pixel along the edge would be drawn out into a streak. The means grow
    by the à trous scheme (Holschneider et al. 1989): a small kernel whose taps move apart.

    Args:
        light: [3,H,W], linear light of the nearest background in view.
        defocus: [H,W], px, of that background.
        distance: [H,W], px, to it; infinity where there is none.
        check_cancelled: raises to stop.
    """
    there = torch.isfinite(distance)
    planes = torch.cat([light * there, there[None].to(light)])
    # Pixels that still take a wider mean, the width of theirs (standard deviation, px), and what
    # the last mean gives them.
    pixel = (there & (distance > 1)).flatten().nonzero()[:, 0]
    width, finer = distance.flatten()[pixel] - 1, light.flatten(1)[:, pixel]
    out, finer_width, variance = light.clone(), 0.0, 0.0
    for level in range(SMOOTHINGS):
        if not len(pixel):
            break
        check_cancelled()
        step = 1 << level
        variance += step * step / 2  # of the kernel 1, 2, 1
        coarser_width = variance**0.5
        planes = _spread(_spread(planes, defocus, step, 0), defocus, 0, step)
        seen = planes.flatten(1)[:, pixel]
        coarser = torch.where(seen[-1] > 0, seen[:-1] / seen[-1].clamp(min=1e-9), finer)
        blend = ((width - finer_width) / (coarser_width - finer_width)).clamp(max=1)
        out.flatten(1)[:, pixel] = torch.lerp(finer, coarser, blend)
        wider = width > coarser_width
        pixel, width, finer, finer_width = (
            pixel[wider],
            width[wider],
            coarser[:, wider],
            coarser_width,
        )
    return out


def _spread(planes: Tensor, defocus: Tensor, dy: int, dx: int) -> Tensor:
    """Return planes averaged with those (dy, dx) to either side by weights 1, 2, 1.

    What lies outside of the picture, or on a surface of another defocus, adds nothing.
    """
    out = planes / 2
    before, after = _overlap(defocus, -dy, -dx), _overlap(defocus, dy, dx)
    apart = (defocus[before] - defocus[after]).abs_()
    weight = at_least(apart, EDGE_STEP * float(max(dy, dx)) ** 0.5).mul_(-0.25).add_(0.25)
    for here, beside in ((before, after), (after, before)):
        out[:, here[0], here[1]].addcmul_(planes[:, beside[0], beside[1]], weight)
    return out


def _overlap(plane: Tensor, dy: int, dx: int) -> tuple[slice, slice]:
    """Return rows and columns where a plane [H,W] and itself moved by (dy, dx) overlap."""
    height, width = plane.shape
    return _overlap_along(height, dy), _overlap_along(width, dx)


def _overlap_along(size: int, step: int) -> slice:
    return slice(min(size, max(0, step)), max(0, min(size, size + step)))


def _median(planes: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the median over 3x3 px where it is wanted: drops samples that fell on a mixed pixel.

    Args:
        planes: [C,H,W].
        row: [N], of the pixels; elsewhere the planes stay as they are.
        column: [N].
    """
    height, width = planes.shape[1:]
    out = planes.clone()
    # Part by part: the places and numbers of nine neighbours are many times the planes.
    count = AT_ONCE if planes.device.type == "cpu" else max(AT_ONCE, height * width // 8)
    for down, right in zip(torch.split(row, count), torch.split(column, count), strict=True):
        rows = [(down + y).clamp(0, height - 1) * width for y in (-1, 0, 1)]
        columns = [(right + x).clamp(0, width - 1) for x in (-1, 0, 1)]
        places = [rows[y] + columns[x] for y, x in _SQUARE]
        for plane, new in zip(planes.flatten(1), out.flatten(1), strict=True):
            new[places[4]] = median_of_nine([plane[place] for place in places])
    return out


def median_of_nine(values: list[Tensor]) -> Tensor:
    """Return the median of nine tensors of any one shape, number by number.

    By a sorting network (Paeth 1990, Graphics Gems, median of 3x3).

    Example:
        >>> median_of_nine([torch.tensor([float(one)]) for one in (3, 1, 4, 1, 5, 9, 2, 6, 5)])
        tensor([4.])
    """
    values = list(values)
    for low, high in _EXCHANGES:
        values[low], values[high] = (
            torch.minimum(values[low], values[high]),
            torch.maximum(values[low], values[high]),
        )
    return values[4]
