"""How far a rendered pixel depends on others, and how much memory rendering takes.

Memory is counted in numbers of 4 bytes for each pixel of the picture, of the tile that is worked
on, and of the tile with the border that its transforms need. The steps' counts were read off
`benchmarks/node_memory.py`, which notes what torch holds; `tests/render/test_memory.py` measures
them again. They are those of a photo with depth edges; without edges there are fewer layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..boxes import AT_ONCE
from ..optics.aperture import DISC, Aperture
from ..optics.field import SMALLEST_CELL, Field, windows_across
from ..optics.pupil import mask_size
from .finish.grain import STRIP as GRAIN_STRIP
from .scene.deblurring import LARGEST_TILE
from .scene.inpaint import inpainting_support_radius
from .tiles import Tile, cut_tiles

# Of the picture: what is held while tiles are worked on (two results, depth, defocus, height), and
# what each step over the whole of it takes beside.
_HELD = 9
# As soft depth edges are made hard, were every pixel in one; of some rows; of what is deconvolved.
_REFINED, _REFINED_ROWS, _DECONVOLVED = 24.5, 8, 30
_LAMPS_FOUND = 22
_CUT_OUT_FILLED = 33
_HELD_OUT_FILLED = 33
_GRAINED, _GRAINED_STRIP = _HELD + 16, 70  # the second of a strip of `grain.STRIP` rows
# Of a tile: light; the most as layers are made of it, and they; a draft's planes of full size.
_LIGHT = 3
_LAYERS_MADE, _LAYERS_MADE_OF_CUT_OUT = 51, 58
_LAYERS, _LAYERS_OF_CUT_OUT = 20, 23
_DRAFT, _DRAFT_HELD = 21, 16
_WINDOWED = 4  # planes that a panorama's tile copies, as it is seen around the joint
# Of a tile with its border: what the transform of one plane takes, by how the PSF's is found.
_TRANSFORM_OF_DISC, _TRANSFORM_OF_POLYGON, _TRANSFORM_OF_MASK = 4, 5, 15
_REFLECTED = 2  # times the planes of a slice with their border, and as often beside each window
_MASKS_KEPT, _MASKS_OF_WINDOWS_KEPT = 3, 32  # of `aperture_mask`, as many of the largest
_MARGIN = 1.05  # sizes that transforms are quick at, indices of edges, and what else is small


@dataclass(frozen=True)
class RenderWork:
    """What is asked of a render, as far as its memory depends on it.

    Attributes:
        aperture: shape of the lens opening.
        draft: whether the quality is "draft".
        background: whether the occluded background is given.
        alpha: whether the picture is a cut-out.
        hold_out: whether something is held out.
        lamps: whether highlights are boosted, or the picture holds light above white.
        grain: whether grain is given back.
        linear: whether the picture is in linear light.
        passes: how often a look renders the picture: 1, or once for each kind of its colours.
        moved: whether pictures are copied to another device first.
    """

    aperture: Aperture = DISC
    draft: bool = False
    background: bool = False
    alpha: bool = False
    hold_out: bool = False
    lamps: bool = False
    grain: bool = False
    linear: bool = False
    passes: int = 1
    moved: bool = False

    @property
    def half_size(self) -> bool:
        """Whether a quarter of the pixels is worked on."""
        return self.draft and not (self.alpha or self.hold_out)

    @property
    def planes(self) -> int:
        """Numbers of a slice at each pixel: light, that above white apart, and its alpha."""
        channels = 4 if self.alpha else 3
        return 1 + channels * (2 if self.lamps else 1)


def render_memory(
    height: int,
    width: int,
    radius: float,
    background: bool = False,
    *,
    wraps: bool = False,
    work: RenderWork | None = None,
) -> int:
    """Return an upper estimate of the bytes that rendering takes beyond the picture and its depth.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        radius: px, how far the largest PSF reaches from its middle.
        background: whether the occluded background is given as well.
        wraps: whether left and right border join.
        work: what else is asked for; None for a disc at default quality.

    Example:
        >>> render_memory(1024, 1024, 20.0) // 2**20  # MiB
        264
    """
    work = work or RenderWork(background=background)
    pixels, held = height * width, _held(work)
    tiles = cut_tiles(height, width, support_radius(radius), wraps=wraps)
    most = max(_of_tile(tile, radius, wraps, work) for tile in tiles)
    floats = max(pixels * _around_tiles(work, height, width, wraps), pixels * held + most)
    if work.moved:
        floats += pixels * (4 + 4 * work.background + work.alpha + work.hold_out)
    if not work.aperture.has_closed_form:
        windows = work.aperture.changes_over_field
        kept = _MASKS_OF_WINDOWS_KEPT if windows else _MASKS_KEPT
        floats += kept * _mask_side(radius / 2 if work.half_size else radius, work) ** 2
    return math.ceil(_MARGIN * 4 * floats)


def support_radius(psf_radius: float) -> int:
    """Return how far, px, a pixel's result depends on others when PSFs reach `psf_radius` px.

    As far as the PSF reaches, and from there as far as the background there is inpainted from.

    Example:
        >>> support_radius(20.0)
        93
    """
    return math.ceil(psf_radius + inpainting_support_radius(psf_radius)) + 5


def _held(work: RenderWork) -> int:
    """Return what is held of a picture while its tiles are rendered."""
    more = 7 * work.alpha + 6 * work.hold_out + work.lamps + work.background
    return _HELD + more + 3 * (work.linear and not work.alpha) + 4 * (work.passes > 1)


def _around_tiles(work: RenderWork, height: int, width: int, wraps: bool) -> float:
    """Return the most that steps over the whole picture, before and after its tiles, hold."""
    strip = min(1.0, GRAIN_STRIP / height)
    more = _held(work) - _HELD
    rows, tile = (min(1.0, most / (height * width)) for most in (AT_ONCE, LARGEST_TILE**2))
    refined = _REFINED + max(_REFINED_ROWS * rows, _DECONVOLVED * tile * (not wraps))
    steps: list[float] = [refined + 5 * work.alpha + 4 * (work.passes > 1)]
    steps += [_LAMPS_FOUND + more] * work.lamps
    steps += [_CUT_OUT_FILLED + more - 7] * work.alpha
    steps += [_HELD_OUT_FILLED + more - 6] * work.hold_out
    steps += [_GRAINED + _GRAINED_STRIP * strip + more] * work.grain
    return max(steps)


def _of_tile(tile: Tile, radius: float, wraps: bool, work: RenderWork) -> float:
    """Return the most numbers held while a tile is rendered."""
    sides = [place.stop - place.start for place in tile.seen]
    seen = math.prod(sides)
    whole_turn = wraps and tile.inner[1].start > 0
    bordered = _bordered(sides, radius, whole_turn)
    floats: float
    light = _LIGHT * (1 + work.background) + work.alpha
    layers = _LAYERS_OF_CUT_OUT if work.alpha else _LAYERS
    made = _LAYERS_MADE_OF_CUT_OUT if work.alpha else _LAYERS_MADE
    copied = _WINDOWED if wraps else 0
    if work.half_size:
        half = _composited([side / 2 for side in sides], radius / 2, bordered / 4, work)
        behind = 4 * work.background
        floats = max((_DRAFT + behind + copied) * seen, (_DRAFT_HELD + behind) * seen + half)
        return floats
    composited = _composited(sides, radius, bordered, work)
    floats = (light + copied) * seen + max(made * seen, layers * seen + composited)
    return floats


def _bordered(sides: list[int], radius: float, whole_turn: bool) -> float:
    """Return the pixels of a tile with the border that its transforms need."""
    rows, columns = (side + 2 * min(radius + 2, side - 1) for side in sides)
    return rows * (sides[1] if whole_turn else columns)


def _mask_side(radius: float, work: RenderWork) -> int:
    return mask_size(radius / work.aperture.support_radius)


def _composited(sides: Sequence[float], radius: float, bordered: float, work: RenderWork) -> float:
    """Return what compositing holds: film, slice and blurred slice, and a transform; or a cut."""
    planes, aperture, seen = work.planes, work.aperture, math.prod(sides)
    if aperture.changes_over_field:
        windows, side = _windows(sides, radius, aperture)
        known = windows * side**2 / (4 if aperture.is_round else 1)
        transform = known + _REFLECTED * planes * (bordered + 2 * side**2)
    elif not aperture.has_closed_form:
        matrices = 6 * _mask_side(radius, work) * (sides[0] + sides[1])
        transform = _TRANSFORM_OF_MASK * bordered + matrices
    else:
        each = _TRANSFORM_OF_DISC if aperture.is_round else _TRANSFORM_OF_POLYGON
        transform = each * bordered
    cut = (2 * planes + 2.5 * (planes - 1) + 3) * seen if work.lamps else 0
    return max(3 * planes * seen + transform, cut)


def _windows(sides: Sequence[float], radius: float, aperture: Aperture) -> tuple[int, float]:
    """Return how many windows a tile has, one PSF each, and the side of what is seen around one."""
    cell = max(SMALLEST_CELL, max(sides) / windows_across(aperture, radius, Field(*sides)))
    windows = math.prod(max(1, round(side / cell)) for side in sides)
    return windows, 1.5 * cell + 2 * min(radius + 2, max(sides))
