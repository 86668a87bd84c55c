"""Lens blur from depth: what a lens focused at one distance makes of a sharp photo.

A photo shows one surface at each pixel. What lies behind a depth edge is not in it, but a blurred
front lets it through, so it is completed first (`layers.py`). The surfaces are then cut into slices
of equal defocus, blurred and laid over each other (`compositing.py`, `optics/psf.py`). Large
pictures go through in tiles (`tiles.py`).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..checks import check_depth, check_image, check_number
from ..color import linear_to_srgb, srgb_to_linear
from ..optics.aperture import DISC, Aperture
from ..optics.field import Field
from ..optics.psf import SpotBlur
from ..optics.thin_lens import as_focus_depth, defocus
from .compositing import SHARP_RADIUS, BeforeSlice, Exposure, Fineness, cut_levels, expose
from .depth_edges import refine_depth as sharpened_depth
from .draft import expose_at_half_size, halved
from .inpaint import completion_reach
from .layers import separate_surfaces
from .tiles import cut_tiles

BOOST_FROM = 0.75  # linear light of the strongest channel at which a highlight begins to be boosted
BOOST_RADIUS = 2.0  # px of blur from which on a highlight is boosted in full
FLOATS_PER_PIXEL = 64  # that the surfaces take, measured with `benchmarks/render.py costs`
KEPT_MEANWHILE = 42  # floats a pixel that are kept while slices are blurred
FLOATS_BLURRED = 20  # floats that blurring takes for a pixel of a slice and of its border
FARTHEST = 8  # times both sides of a picture: a spot this large leaves next to nothing in it
FLAT = 1.0  # px of difference in defocus below which a picture is one plane

QUALITIES = {
    "draft": Fineness(1.0, 0.2),
    "default": Fineness(1.0, 0.1),
    "final": Fineness(0.5, 0.05),
}


@torch.no_grad()
def render_bokeh(
    image: Tensor,
    depth: Tensor,
    strength: float,
    focus_depth: float | Tensor,
    *,
    aperture: Aperture = DISC,
    highlight_boost: float = 0.0,
    quality: str = "default",
    refine_depth: bool = True,
    background: Tensor | None = None,
    background_depth: Tensor | None = None,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return the picture as a lens focused at `focus_depth` takes it, [B,H,W,3], sRGB.

    Pictures are worked on one by one, in float32 and linear light.

    Args:
        image: [B,H,W,3], sRGB, 0…1; larger values are kept as high dynamic range.
        depth: [B,H,W] or [1,H,W], m, > 0; infinity is allowed.
        strength: bokeh strength K, px·m, >= 0; 0 returns the picture unchanged.
        focus_depth: number or [B], depth of the focus plane, m, > 0; infinity is allowed.
        aperture: shape of the lens opening.
        highlight_boost: light given back to clipped highlights that are out of focus: white becomes
            1 + this times as bright. 0 changes nothing.
        quality: "draft", "default" or "final": how finely defocus is cut. A draft works on a
            quarter of the pixels, but for what is in focus.
        refine_depth: make soft depth edges hard along those of the picture, see `depth_edges.py`.
        background: [B,H,W,3] or [1,H,W,3], what stands behind the surfaces in view, where it is
            known; used where `background_depth` lies behind `depth`, and completed elsewhere.
        background_depth: [B,H,W] or [1,H,W], m, > 0; goes with `background`.
        on_progress: called for every slice, in hundredths of a picture.
        check_cancelled: raises to stop; called for every slice and between the steps before.

    Raises:
        TypeError: a picture or depth that is not floating point.
        ValueError: sizes that do not match, unusable depth, strength, focus depth or quality, a
            background without depth or depth without a background.
    """
    size, depth = check_image(image), _depth_like(depth, image, "depth")
    known = _background_like(background, background_depth, image)
    check_number(strength, "strength", 0.0)
    check_number(highlight_boost, "highlight_boost", 0.0)
    if quality not in QUALITIES:
        raise ValueError(f"quality: unknown {quality!r}. Use one of {', '.join(QUALITIES)}.")
    planes = as_focus_depth(focus_depth, size["B"])
    out = torch.empty_like(image)
    for index in range(size["B"]):

        def before_slice(done: int, total: int, first: int = index) -> None:
            check_cancelled()
            on_progress(100 * first + 100 * done // total, 100 * size["B"])

        own = depth[index : index + 1]
        if refine_depth and strength > 0:
            own = sharpened_depth(image[index : index + 1], own, check_cancelled)
        views = [_View(image[index], _bounded_defocus(own, strength, planes[index]))]
        if known is not None:
            hidden = _bounded_defocus(known[1][index : index + 1], strength, planes[index])
            views += [_View(known[0][index], torch.minimum(hidden, views[0].signed))]
        lens = _lens_for([view.signed for view in views], aperture, highlight_boost, quality)
        out[index] = _render_one(views, lens, before_slice)
    on_progress(100 * size["B"], 100 * size["B"])
    return out


def _depth_like(depth: Tensor, image: Tensor, name: str) -> Tensor:
    size = check_depth(depth, name)
    batch, height, width = image.shape[:3]
    if (size["H"], size["W"]) != (height, width) or size["B"] not in (1, batch):
        raise ValueError(
            f"{name}: expected {[batch, height, width]} like the image, found {list(depth.shape)}. "
            "Resample it to the picture first."
        )
    return depth.to(image.device, torch.float32).expand(batch, -1, -1)


def _background_like(
    background: Tensor | None, depth: Tensor | None, image: Tensor
) -> tuple[Tensor, Tensor] | None:
    if background is None and depth is None:
        return None
    if background is None or depth is None:
        missing = "background" if background is None else "background_depth"
        raise ValueError(f"{missing}: missing. Give the background and its depth, or neither.")
    check_image(background, "background")
    batch = image.shape[0]
    if background.shape[1:] != image.shape[1:] or len(background) not in (1, batch):
        raise ValueError(
            f"background: expected {list(image.shape)} like the image, found "
            f"{list(background.shape)}. Resample it to the picture first."
        )
    return background.to(image).expand(batch, -1, -1, -1), _depth_like(
        depth, image, "background_depth"
    )


def _bounded_defocus(depth: Tensor, strength: float, plane: Tensor) -> Tensor:
    limit = FARTHEST * sum(depth.shape[1:])
    return defocus(depth, strength, plane)[0].clamp(-limit, limit)


@dataclass(frozen=True, eq=False)
class _View:
    """A picture [H,W,3], sRGB, and its defocus [H,W], px, front positive."""

    picture: Tensor
    signed: Tensor

    def part(self, place: tuple[slice, slice]) -> "_View":
        return _View(self.picture[place], self.signed[place])

    def light(self, boost: float) -> Tensor:
        """Return [3,H,W] linear light, clipped highlights boosted."""
        light = srgb_to_linear(self.picture.float()).movedim(-1, 0)
        return light * _highlight_gain(light, self.signed, boost)


@dataclass(frozen=True)
class _Lens:
    """How one picture is taken; `half_size` works on a quarter of the pixels."""

    aperture: Aperture
    highlight_boost: float
    radius: float
    reach: float  # px, of the largest spot
    levels: list[float]
    half_size: bool


def _lens_for(
    signed: list[Tensor], aperture: Aperture, highlight_boost: float, quality: str
) -> _Lens:
    low, high = min(float(one.min()) for one in signed), max(float(one.max()) for one in signed)
    # A plane is one convolution: quick, and exact only at full size.
    half_size = quality == "draft" and high - low > FLAT
    levels = cut_levels(low, high, QUALITIES[quality])
    radius = max(-low, high)
    reach = radius * aperture.reach
    return _Lens(aperture, highlight_boost, radius, reach, levels, half_size)


def _render_one(views: list[_View], lens: _Lens, before_slice: BeforeSlice) -> Tensor:
    """Return a picture [H,W,3] through the lens: the first view, the second behind it if known."""
    picture, size = views[0].picture, views[0].signed.shape
    if lens.radius < SHARP_RADIUS:
        return picture
    ends = torch.stack([torch.stack(view.picture.float().aminmax()) for view in views])
    darkest, brightest = srgb_to_linear(ends[:, 0].min()), srgb_to_linear(ends[:, 1].max())
    darkest, brightest = darkest.clamp(max=0.0), brightest.clamp(min=1.0)
    out = torch.empty_like(picture)
    tiles = cut_tiles(*size, halo_of(lens.reach))
    for index, tile in enumerate(tiles):

        def before_tile_slice(done: int, total: int, first: int = index) -> None:
            before_slice(first * total + done, len(tiles) * total)

        seen_y, seen_x = tile.seen
        field = Field(*size, seen_y.start, seen_x.start)
        parts = [view.part(tile.seen) for view in views]
        light = _expose_tile(parts, lens, field, before_tile_slice)
        light = light[(slice(None), *tile.inner)]
        light = light.clamp(darkest, brightest)
        out[tile.kept] = linear_to_srgb(light).movedim(0, -1).to(picture.dtype)
    return out


def render_memory(height: int, width: int, radius: float, background: bool = False) -> int:
    """Return an upper estimate of the bytes that rendering takes beyond the picture and its depth.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        radius: largest distance that a spot reaches, px.
        background: whether what stands behind is given as well.
    """
    more = 8 if background else 0
    most = 0.0
    for tile in cut_tiles(height, width, halo_of(radius)):
        sides = [place.stop - place.start for place in tile.seen]
        bordered = math.prod(side + 2 * min(radius + 2, side) for side in sides)
        seen, blurred = math.prod(sides), FLOATS_BLURRED * bordered
        surfaces, kept = (FLOATS_PER_PIXEL + more) * seen, (KEPT_MEANWHILE + more) * seen
        most = max(most, surfaces, kept + blurred)
    return math.ceil(4 * (most + 8 * height * width))


def halo_of(radius: float) -> int:
    """Return how far, px, a pixel's result depends on others when spots reach `radius` px.

    As far as the spot reaches, and from there as far as hidden surfaces are completed from.
    """
    return math.ceil(radius + completion_reach(radius)) + 5


def _expose_tile(
    views: list[_View], lens: _Lens, field: Field, before_slice: BeforeSlice
) -> Tensor:
    """Return [3,H,W] linear light that views give through the lens."""
    lights = [(view.light(lens.highlight_boost), view.signed) for view in views]
    if not lens.half_size:
        return _expose(lights, lens, field, 1.0, before_slice).light
    behind = [halved(*light) for light in lights[1:]]

    def expose_half(light: Tensor, signed: Tensor) -> Exposure:
        return _expose([(light, signed), *behind], lens, field.scaled(0.5), 0.5, before_slice)

    return expose_at_half_size(*lights[0], expose_half)


def _expose(
    lights: list[tuple[Tensor, Tensor]],
    lens: _Lens,
    field: Field,
    scale: float,
    before_slice: BeforeSlice,
) -> Exposure:
    """Return the exposure of [3,H,W] lights whose pixels are 1/`scale` of the picture's."""
    margin = int(lens.reach * scale) + 2
    light, signed = lights[0]
    size = (signed.shape[0], signed.shape[1])
    spot = SpotBlur(size, margin, lens.aperture, signed.device, field)
    levels = [level * scale for level in lens.levels]
    surfaces = separate_surfaces(
        light,
        signed,
        lens.reach * scale,
        *lights[1:],
        check_cancelled=lambda: before_slice(0, len(levels)),
    )
    return expose(surfaces, levels, spot.convolve, before_slice, lens.half_size)


def _highlight_gain(light: Tensor, signed: Tensor, boost: float) -> Tensor:
    """Return the factor [1,H,W] that gives clipped light back, the same for all channels.

    It rises smoothly from `BOOST_FROM` to white, and from the focus plane to `BOOST_RADIUS`, so
    that what is sharp keeps its look.
    """
    share = ((light.amax(0, keepdim=True) - BOOST_FROM) / (1 - BOOST_FROM)).clamp(0, 1)
    clipped = share * share * (3 - 2 * share)
    return 1 + boost * clipped * (signed.abs() / BOOST_RADIUS).clamp(max=1)
