"""One picture through a lens, tile by tile: layers, slices, light.

The background behind a depth edge is not in a photo, but shows through a blurred foreground, so the
scene is first made into layers (`scene/layers.py`). They are cut into slices of equal defocus,
blurred and composited (`slices/compositing.py`, `optics/psf.py`). Large pictures go through in
tiles (`tiles.py`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..optics.aperture import Aperture
from ..optics.field import Field
from ..optics.psf import LensBlur
from .draft import halved, render_at_half_size
from .finish.energy import above_black
from .finish.specks import without_specks
from .highlights import HighlightBoost
from .memory import support_radius
from .panorama import own_columns, with_other_end
from .preparation import PreparationCache, made
from .scene.layers import Layers, layers_of, part_surfaces, separate_layers
from .scene.matting import WHITE
from .slices.compositing import (
    SHARP_RADIUS,
    BeforeSlice,
    Blur,
    SliceSpacing,
    WithoutRinging,
    composite_front_to_back,
    composite_with_foreground,
    slice_levels,
)
from .tiles import cut_tiles
from .views import View

FLAT = 1.0  # px of difference in defocus below which a picture is one plane
SCALES_APART = 2**0.5  # between neighbouring strengths at which edges are looked for

QUALITIES = {
    "draft": SliceSpacing(1.0, 0.2),
    "default": SliceSpacing(1.0, 0.1),
    "final": SliceSpacing(0.5, 0.05),
}


@dataclass(frozen=True)
class PictureLens:
    """How one picture is taken.

    Attributes:
        aperture: shape of the lens's aperture.
        boost: of highlights.
        blur_radius: px, the largest of the picture.
        psf_radius: px, how far the largest PSF reaches from its middle.
        levels: defocus of the slices, px, rising.
        half_size: whether to work on a quarter of the pixels.
        cache: that keeps layers; None for none.
        reach: px, how far PSFs of any focus and of like strengths reach: so far background is
            looked for where layers may be kept for them.
    """

    aperture: Aperture
    boost: HighlightBoost
    blur_radius: float
    psf_radius: float
    levels: list[float]
    half_size: bool
    cache: PreparationCache | None = None
    reach: float = 0.0


def lens_for(
    views: list[View], aperture: Aperture, boost: HighlightBoost, quality: str
) -> PictureLens:
    """Return how views are taken at a quality of `QUALITIES`; it keeps no layers."""
    defocus = [view.defocus for view in views]
    whole = views[0].alpha is None and views[0].present is None
    low, high = min(float(one.min()) for one in defocus), max(float(one.max()) for one in defocus)
    # A plane is one convolution: quick, and exact only at full size.
    half_size = quality == "draft" and high - low > FLAT and whole
    levels = slice_levels(low, high, QUALITIES[quality])
    radius = max(-low, high)
    return PictureLens(aperture, boost, radius, radius * aperture.support_radius, levels, half_size)


def render_picture(views: list[View], lens: PictureLens, before_slice: BeforeSlice) -> Tensor:
    """Return a picture [H,W,C] through the lens: the first view, the second behind it if known."""
    view, size = views[0], views[0].defocus.shape
    picture, meaning = view.picture, view.meaning
    if lens.blur_radius < SHARP_RADIUS:
        if view.alpha is None:
            return picture
        return torch.cat([picture, view.alpha[..., None].to(picture)], dim=-1)
    ends = torch.stack([torch.stack(view.picture.float().aminmax()) for view in views])
    darkest, brightest = meaning.light(ends[:, 0].min()), meaning.light(ends[:, 1].max())
    darkest, brightest = darkest.clamp(max=0.0), brightest.clamp(min=1.0)
    out = picture.new_empty(*size, 3 if view.alpha is None else 4)
    tiles = cut_tiles(size[0], size[1], support_radius(lens.psf_radius), wraps=view.wraps)
    if view.height is not None:
        widest = SCALES_APART * float(view.height.max() - view.height.min())
        reach = max(widest * lens.aperture.support_radius, lens.psf_radius)
        lens = replace(lens, reach=reach)
    for index, tile in enumerate(tiles):

        def before_tile_slice(done: int, total: int, first: int = index) -> None:
            before_slice(first * total + done, len(tiles) * total)

        seen_y, seen_x = tile.seen
        field = Field(size[0], size[1], seen_y.start, seen_x.start)
        parts = [view.part(tile.seen) for view in views]
        whole_turn = view.wraps and tile.kept[1] == slice(0, size[1])
        inner_y, inner_x = tile.inner
        light = _render_tile(
            parts, lens, field, before_tile_slice, inner_x.start if whole_turn else 0
        )
        light = above_black(light, darkest)[:, inner_y, inner_x].clamp(max=brightest)
        if view.alpha is None:
            out[tile.kept] = meaning.values(light).movedim(0, -1).to(picture.dtype)
        else:
            out[tile.kept] = meaning.with_alpha(light).to(picture.dtype)
    return out


def _render_tile(
    views: list[View], lens: PictureLens, field: Field, before_slice: BeforeSlice, around: int
) -> Tensor:
    """Return [3,H,W] linear light that views give through the lens.

    Args:
        views: of the tile.
        lens: how the picture is taken.
        field: where the tile lies in the picture.
        before_slice: called for every slice; may raise to stop.
        around: columns of the other end at either side, where the tile is a whole turn of a
            panorama; else 0.
    """
    lights = [(view.light(lens.boost), view.defocus) for view in views]
    # A picture with light above white is high dynamic range, and its lamps stay above white.
    boosted = lens.boost.strength > 0 and all(view.within_white() for view in views)
    if not lens.half_size:
        prepared = _prepare_compositing(
            lights, lens, field, 1.0, before_slice, around, views[0].height
        )
        if views[0].present is not None:
            present = own_columns(views[0].present, around)
            prepared = (prepared[0].within(present), *prepared[1:])
        light = composite_front_to_back(*prepared, before_slice, roll_off=boosted)
        if views[0].present is not None:
            # Nothing is there but what rings: it must not take light from around (`energy.py`).
            light = torch.where(present > 0, light, light.clamp(min=0))
        return without_specks(with_other_end(light, around), *lights[0])
    behind = [halved(*light) for light in lights[1:]]
    # An odd number of columns is no whole number of half as many: it has no turn at half size.
    half_around = 0 if views[0].defocus.shape[1] % 2 else around // 2

    def render_half(light: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
        halves, place = [(light, defocus), *behind], field.scaled(0.5)
        prepared = _prepare_compositing(halves, lens, place, 0.5, before_slice, half_around)
        blurred, front = composite_with_foreground(*prepared, before_slice, roll_off=boosted)
        return with_other_end(blurred, half_around), with_other_end(front, half_around)

    return without_specks(render_at_half_size(*lights[0], render_half), *lights[0])


def _prepare_compositing(
    lights: list[tuple[Tensor, Tensor]],
    lens: PictureLens,
    field: Field,
    scale: float,
    before_slice: BeforeSlice,
    around: int,
    height: Tensor | None = None,
) -> tuple[Layers, list[float], Blur]:
    """Return the layers, the levels of their slices and the blur, of pixels 1/`scale` as large.

    Args:
        lights: light [3,H,W] and defocus [H,W] of the picture, and of its background if known.
        lens: how the picture is taken, px of full size.
        field: where the picture lies in the whole, px of its own size.
        scale: 1 for full size, 0.5 for half.
        before_slice: called between steps; may raise to stop.
        around: columns of the other end at either side, px of its own size, that the layers need
            and the blur of a whole turn does not; else 0.
        height: [H,W], px, by which the layers are made; None for by defocus.
    """
    (light, defocus), background = lights[0], lights[1] if len(lights) > 1 else None
    psf_radius = lens.psf_radius * scale
    size, turns = (defocus.shape[0], defocus.shape[1] - 2 * around), around > 0
    psf = LensBlur(size, int(psf_radius) + 2, lens.aperture, defocus.device, field, wraps=turns)
    levels = [level * scale for level in lens.levels]

    def check_cancelled() -> None:
        before_slice(0, len(levels))

    if height is None:
        layers = made(
            lens.cache,
            "layers",
            [light, defocus, psf_radius, *(background or ())],
            lambda: separate_layers(light, defocus, psf_radius, background, check_cancelled),
        )
    else:
        parting = made(
            lens.cache,
            "layers",
            [light, height, lens.reach],
            lambda: part_surfaces(light, height, lens.reach, None, check_cancelled),
        )
        layers = layers_of(light, parting, defocus)
    glare = bool(light.max() > WHITE)
    blur: Blur = psf
    if glare:
        blur = WithoutRinging(psf, lens.aperture.support_radius, turns)
    return layers.own_columns(around), levels, blur
