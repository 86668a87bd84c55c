"""Inpainting: colour and depth of the background that near things occlude.

A blurred foreground lets some of the background behind it through (disocclusion), which the photo
does not show. For every pixel the nearest place is found where a surface farther away comes into
view. Its colour goes on behind the foreground, as a mean over more pixels the farther away it is.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...boxes import bounding_box, box_around
from ...callbacks import CheckCancelled, never_cancelled
from .discontinuities import (
    EDGE_STEP,
    EDGE_WIDTH,
    Pixels,
    largest_within,
    mean_around,
    neighbour_offsets,
    pixels_at,
)

SMOOTHINGS = 5  # wavelet scales of the inpainted colour, each twice as wide as the one before
NARROW = 3.5  # px from a depth edge within which background is taken from all sides
NOTHING = 1e15  # px, in place of infinity, which would turn products into NaN
FEW = 0.3  # share of pixels below which it is quicker to look at them alone
AROUND = 3  # px around such a pixel in which it is looked for

_SQUARE = [(y, x) for y in range(3) for x in range(3)]
_EXCHANGES = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


@dataclass(frozen=True, eq=False)
class NearestBackground:
    """For every pixel the nearest place where background that it occludes is in view.

    Attributes:
        row: [H,W], px; the pixel's own where there is none.
        column: [H,W], px, likewise.
        distance: [H,W], px; infinity where there is none.
    """

    row: Tensor
    column: Tensor
    distance: Tensor


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


def search_radius(psf_radius: float) -> float:
    """Return how far, px, background in view is searched for when PSFs are `psf_radius` px wide."""
    return 1.5 * psf_radius + 3


def inpainting_support_radius(psf_radius: float) -> float:
    """Return the distance, px, up to which the picture decides what is inpainted at a pixel."""
    return search_radius(psf_radius) + float(2**SMOOTHINGS) + 3


def _pixel_grid(like: Tensor) -> tuple[Tensor, Tensor]:
    height, width = like.shape
    rows = torch.arange(height, dtype=torch.float32, device=like.device)
    columns = torch.arange(width, dtype=torch.float32, device=like.device)
    return rows[:, None].expand(height, width), columns[None, :].expand(height, width)


def find_nearest_background(
    defocus: Tensor,
    far_side: Tensor,
    radius: float,
    check_cancelled: CheckCancelled = never_cancelled,
) -> NearestBackground:
    """Return for every pixel the nearest far-side edge pixel of a surface that lies behind it.

    Jump flooding (Rong and Tan 2006): candidates travel in halving steps, and a pixel keeps the
    nearest one that lies behind its own surface. Only where there can be one it is looked for.

    Args:
        defocus: [H,W], px, front positive.
        far_side: [H,W], bool, the far side of depth edges.
        radius: px, of the search.
        check_cancelled: raises to stop.
    """
    longest = 1 << max(0, int(radius).bit_length() - 1)
    side = max(defocus.shape)
    steps = [longest >> k for k in range(longest.bit_length()) if longest >> k < side] + [1]
    row, column = (plane.clone() for plane in _pixel_grid(defocus))
    distance = torch.full_like(defocus, torch.inf)
    seeds = defocus.masked_fill(~far_side, torch.inf)
    reach = min(sum(steps), side)
    wanted = -largest_within(-seeds, reach) < defocus - EDGE_STEP
    box = bounding_box(wanted)
    if box is not None:
        box = box_around(box, reach, (defocus.shape[0], defocus.shape[1]))
        planes = (row[box], column[box], defocus[box], seeds[box])
        if float(wanted[box].float().mean()) < FEW:
            found = _flood_few(*planes, wanted[box], steps, check_cancelled)
        else:
            found = _flood(*planes, steps, check_cancelled)
        found[2].sqrt_()
        there = found[2] <= radius
        for plane, new in zip((row, column, distance), found, strict=True):
            plane[box] = torch.where(there, new, plane[box])
    return NearestBackground(row, column, distance)


def _flood(
    rows: Tensor,
    columns: Tensor,
    defocus: Tensor,
    seeds: Tensor,
    steps: list[int],
    check_cancelled: CheckCancelled,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return row, column and squared distance, [H,W] each, of the nearest seed behind each pixel.

    Args:
        rows: [H,W], px, of each pixel.
        columns: [H,W], px, likewise.
        defocus: [H,W], px, of each pixel.
        seeds: [H,W], px, defocus of what may be found; infinity elsewhere.
        steps: px, that candidates travel.
        check_cancelled: raises to stop.
    """
    limit, seeds = defocus - EDGE_STEP, seeds.clamp(max=NOTHING)
    best = torch.full((3, *defocus.shape), NOTHING, device=defocus.device)
    nearest = torch.full_like(defocus, NOTHING)
    for step in steps:
        for dy, dx in neighbour_offsets(step):
            check_cancelled()
            here, there = _overlap(defocus, dy, dx), _overlap(defocus, -dy, -dx)
            own, closest = best[:, here[0], here[1]], nearest[here]
            passed = best[:, there[0], there[1]].clone()
            distance = (rows[here] - passed[0]).square_()
            distance.add_((columns[here] - passed[1]).square_())
            better = (passed[2] < limit[here]).logical_and_(distance < closest).to(defocus)
            own.lerp_(passed, better)
            closest.lerp_(distance, better)
            direct = distance.fill_(dy * dy + dx * dx)
            better = (seeds[there] < limit[here]).logical_and_(direct < closest).to(defocus)
            for plane, source in zip(own, (rows, columns, seeds), strict=True):
                plane.lerp_(source[there], better)
            closest.lerp_(direct, better)
    return best[0], best[1], nearest


def _flood_few(
    rows: Tensor,
    columns: Tensor,
    defocus: Tensor,
    seeds: Tensor,
    wanted: Tensor,
    steps: list[int],
    check_cancelled: CheckCancelled,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `_flood` does, by looking at the wanted pixels [H,W] alone.

    No other pixel has a seed behind it within reach, so none of them passes a candidate on.
    """
    height, width = defocus.shape
    # A border that holds nothing, as wide as a step, so that no step needs to be cut off.
    border, across = steps[0], width + 2 * steps[0]
    around = (border,) * 4
    row, column = wanted.nonzero(as_tuple=True)
    at = (row + border) * across + column + border
    sources = [F.pad(plane[None], around)[0].flatten() for plane in (rows, columns)]
    own_row, own_column, limit = rows[wanted], columns[wanted], defocus[wanted] - EDGE_STEP
    seeds = F.pad(seeds.clamp(max=NOTHING)[None], around, value=NOTHING)[0].flatten()
    # Which pixel each of them holds as its candidate; pixel 0 is in the border, and holds nothing.
    held, nearest = torch.zeros_like(seeds, dtype=torch.int64), torch.full_like(limit, NOTHING)
    mine = torch.zeros_like(at)
    for step in steps:
        for dy, dx in neighbour_offsets(step):
            check_cancelled()
            there = at - (dy * across + dx)
            passed = held[there]
            distance = (own_row - sources[0][passed]).square_()
            distance.add_((own_column - sources[1][passed]).square_())
            better = (seeds[passed] < limit).logical_and_(distance < nearest)
            mine = torch.where(better, passed, mine)
            nearest = torch.where(better, distance, nearest)
            direct = float(dy * dy + dx * dx)
            better = (seeds[there] < limit).logical_and_(nearest > direct)
            mine = torch.where(better, there, mine)
            nearest = nearest.masked_fill(better, direct)
            held[at] = mine
    found = torch.full((3, height, width), NOTHING, device=defocus.device)
    found[0, row, column], found[1, row, column] = sources[0][mine], sources[1][mine]
    found[2, row, column] = nearest
    return found[0], found[1], found[2]


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
    rows, columns = _pixel_grid(defocus)
    length = nearest.distance.clamp(min=1)
    origin = pixels_at(nearest.row, nearest.column, defocus)
    beyond = pixels_at(
        nearest.row + EDGE_WIDTH * (nearest.row - rows) / length,
        nearest.column + EDGE_WIDTH * (nearest.column - columns) / length,
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
