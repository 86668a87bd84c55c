"""Inpainting: colour and depth of the background that near things occlude.

A blurred foreground lets some of the background behind it through (disocclusion), which the photo
does not show. For every pixel the nearest place is found where a surface farther away comes into
view. Its colour goes on behind the foreground, as a mean over more pixels the farther away it is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from .discontinuities import (
    EDGE_STEP,
    EDGE_WIDTH,
    Pixels,
    mean_around,
    pixels_at,
    pixels_beside,
)
from .nearest import NearestBackground, pixel_grid, search_radius

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
        place: rows and columns [H,W] of the pixel that it was taken at.
        origin: rows and columns [H,W] of the depth edge behind which the background is in view.
    """

    light: Tensor
    defocus: Tensor
    place: Pixels
    origin: Pixels


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
    rows, columns = pixel_grid(defocus)
    length = nearest.distance.clamp(min=1)
    origin = pixels_at(nearest.row, nearest.column, defocus)
    beyond = pixels_beside(
        (nearest.row, nearest.column),
        EDGE_WIDTH * (nearest.row - rows) / length,
        EDGE_WIDTH * (nearest.column - columns) / length,
        defocus,
    )
    same = (defocus[beyond] - defocus[origin]).abs() <= EDGE_STEP
    row, column = (torch.where(same, a, b) for a, b in zip(beyond, origin, strict=True))
    color, behind = light[:, row, column], defocus[row, column]
    color = _median(color, torch.isfinite(nearest.distance))
    narrow = (nearest.distance < NARROW).nonzero(as_tuple=True)
    own, wanted = defocus[narrow], behind[narrow]
    mean, found = mean_around(
        far_matted,
        (narrow[0], narrow[1]),
        AROUND,
        3,
        lambda there: (
            (defocus[there] < own - EDGE_STEP) & ((defocus[there] - wanted).abs() < EDGE_STEP)
        ),
    )
    color[:, narrow[0], narrow[1]] = torch.where(found, mean, color[:, narrow[0], narrow[1]])
    return BackgroundSample(color, behind, (row, column), origin)


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
    width = (distance - 1).masked_fill(~there, 0)  # of the mean, standard deviation, px
    planes = torch.cat([light * there, there[None].to(light)])
    out, finer, finer_width, variance = light.clone(), light, 0.0, 0.0
    for level in range(SMOOTHINGS):
        if not (width > finer_width).any():
            break
        check_cancelled()
        step = 1 << level
        variance += step * step / 2  # of the kernel 1, 2, 1
        coarser_width = variance**0.5
        planes = _spread(_spread(planes, defocus, step, 0), defocus, 0, step)
        coarser = torch.where(planes[-1] > 0, planes[:-1] / planes[-1].clamp(min=1e-9), finer)
        blend = ((width - finer_width) / (coarser_width - finer_width)).clamp(0, 1)
        out = torch.where(width > finer_width, torch.lerp(finer, coarser, blend), out)
        finer, finer_width = coarser, coarser_width
    return out


def _spread(planes: Tensor, defocus: Tensor, dy: int, dx: int) -> Tensor:
    """Return planes averaged with those (dy, dx) to either side by weights 1, 2, 1.

    What lies outside of the picture, or on a surface of another defocus, adds nothing.
    """
    out = planes / 2
    for y, x in ((-dy, -dx), (dy, dx)):
        here, beside = _overlap(defocus, y, x), _overlap(defocus, -y, -x)
        same = (defocus[beside] - defocus[here]).abs() < EDGE_STEP * float(max(dy, dx)) ** 0.5
        for plane, spread in zip(planes, out, strict=True):
            spread[here].add_(torch.where(same, plane[beside], 0.0), alpha=0.25)
    return out


def _overlap(plane: Tensor, dy: int, dx: int) -> tuple[slice, slice]:
    """Return rows and columns where a plane [H,W] and itself moved by (dy, dx) overlap."""
    height, width = plane.shape
    return _overlap_along(height, dy), _overlap_along(width, dx)


def _overlap_along(size: int, step: int) -> slice:
    return slice(min(size, max(0, step)), max(0, min(size, size + step)))


def _median(planes: Tensor, there: Tensor) -> Tensor:
    """Return the median over 3x3 px where it is wanted: drops samples that fell on a mixed pixel.

    Args:
        planes: [C,H,W].
        there: [H,W], bool; elsewhere the planes stay as they are.
    """
    row, column = there.nonzero(as_tuple=True)
    height, width = there.shape
    rows = [(row + y).clamp(0, height - 1) * width for y in (-1, 0, 1)]
    columns = [(column + x).clamp(0, width - 1) for x in (-1, 0, 1)]
    places = [rows[y] + columns[x] for y, x in _SQUARE]
    out = planes.clone()
    for plane, new in zip(planes.flatten(1), out, strict=True):
        new[row, column] = _median_of_nine([plane[place] for place in places])
    return out


def _median_of_nine(values: list[Tensor]) -> Tensor:
    """Return the median by a sorting network (Paeth 1990, Graphics Gems, median of 3x3)."""
    for low, high in _EXCHANGES:
        values[low], values[high] = (
            torch.minimum(values[low], values[high]),
            torch.maximum(values[low], values[high]),
        )
    return values[4]
