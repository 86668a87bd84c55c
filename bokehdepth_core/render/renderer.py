"""Lens blur from depth: what a lens focused at one distance makes of a sharp photo.

Here inputs are checked, and each picture of a batch becomes views, by its depth and the focus;
`picture.py` renders one.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..callbacks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from ..checks import check_image, check_number
from ..color import check_color_space
from ..optics import thin_lens
from ..optics.aperture import DISC, Aperture
from ..optics.focus.controls import (
    AS_THE_LENS,
    FocusControls,
    FocusPoint,
    as_focus_points,
    controlled_defocus,
)
from .highlights import BOOST_FROM, HighlightBoost
from .panorama import check_panorama
from .picture import QUALITIES, lens_for, render_picture
from .preparation import PreparationCache, made
from .scene.depth_edges import refine_depth as sharpened_depth
from .slices.coverage import check_mask
from .steady import FrameDepth
from .views import PixelMeaning, View, background_like, depth_like

FARTHEST = 8  # times both sides of a picture: a PSF this large leaves next to nothing in it


@torch.no_grad()
def render_bokeh(
    image: Tensor,
    depth: Tensor,
    strength: float,
    focus_depth: float | Tensor,
    *,
    aperture: Aperture = DISC,
    highlight_boost: float = 0.0,
    highlight_threshold: float = BOOST_FROM,
    controls: FocusControls = AS_THE_LENS,
    quality: str = "default",
    refine_depth: bool = True,
    background: Tensor | None = None,
    background_depth: Tensor | None = None,
    color_space: str = "sRGB",
    alpha: Tensor | None = None,
    premultiplied: bool = False,
    hold_out: Tensor | None = None,
    intrinsics: Tensor | None = None,
    focus_point: FocusPoint = (0.5, 0.5),
    grain: float = 0.0,
    grain_seed: int = 0,
    wrap: bool = False,
    cache: PreparationCache | None = None,
    steady: float = 0.0,
    on_progress: OnProgress = ignore_progress,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Tensor:
    """Return the picture as a lens focused at `focus_depth` takes it, [B,H,W,3]; RGBA with `alpha`.

    Pictures are worked on one by one, in float32 and linear light.

    Args:
        image: [B,H,W,3], in `color_space`; values above 1 are kept as high dynamic range.
        depth: [B,H,W] or [1,H,W], m, > 0; infinity is allowed.
        strength: bokeh strength K, px·m, >= 0; 0 returns the picture unchanged.
        focus_depth: number or [B], depth of the focus plane, m, > 0; infinity is allowed.
        aperture: shape of the lens's aperture.
        highlight_boost: light given back to lamps that are out of focus, which are clipped or stand
            out of their surroundings: white becomes 1 + this times as bright. 0 changes nothing.
        highlight_threshold: 0…0.99, linear light of the strongest channel from which on a highlight
            is boosted, white is 1: 0.75 is 225 of 255 in sRGB, 0.95 is 249.
        controls: a sharp zone, front and back apart, a largest radius, a turned plane of focus.
        quality: "draft", "default" or "final": how finely defocus is cut. A draft works on a
            quarter of the pixels, but for what is in focus.
        refine_depth: make soft depth edges hard along those of the picture, see `depth_edges.py`.
        background: [B,H,W,3] or [1,H,W,3], the occluded background where it is known; used where
            `background_depth` lies behind `depth`, and inpainted elsewhere.
        background_depth: [B,H,W] or [1,H,W], m, > 0; goes with `background`.
        color_space: what the values of the picture, and of the result, are: "sRGB", or the light
            itself, "linear Rec.709" or "ACEScg"; nothing is clipped.
        alpha: [B,H,W] or [1,H,W], 0…1, what the picture covers; it is blurred with it, and the
            result is [B,H,W,4], its last channel the alpha. A draft then works on every pixel.
        premultiplied: whether the picture's light is multiplied with alpha; the result's then is.
        hold_out: [B,H,W] or [1,H,W], 0…1; 1 is kept as it is, and neither spills over its
            surroundings nor is spilled over.
        intrinsics: [B,3,3] or [1,3,3], px; needed where `controls` turn the plane of focus.
        focus_point: (x, y), or [B,2], in shares of the picture: about which it is turned.
        grain: 0…1, how much of the photo's noise is given back to what is blurred.
        grain_seed: of the first picture's noise; each one after it takes the next.
        wrap: whether pictures are 360° panoramas, whose left and right border join. The blur is the
            same at every height: towards the poles of an equirectangular picture, which stretches
            what is there, it should be 1/cos(latitude) times as wide.
        cache: keeps refined depth and layers for the next render of the same photo and depth. With
            `steady` depth hangs on the frames before, and refined depth is not kept.
        steady: 0…1, for the frames of a clip in their order: how much depth and its edges are held
            from frame to frame where the photos do not change. 0 takes every picture by itself.
        on_progress: called for every slice, in hundredths of a picture.
        check_cancelled: raises to stop; called for every slice and between the steps before.

    Raises:
        TypeError: a picture or depth that is not floating point.
        ValueError: sizes that do not match, unusable depth, strength, focus depth, quality or
            colour space, a background without depth or depth without a background, or what a
            panorama cannot have (`check_panorama`).

    Reference:
        Thin lens, arXiv 2512.12425: blur radius r = K |1/Z - 1/Z_f|, px.

    Example:
        >>> import torch
        >>> image = torch.full((1, 32, 32, 3), 0.2)
        >>> image[:, 16, 16] = 1.0
        >>> depth = torch.full((1, 32, 32), 1.0)
        >>> out = render_bokeh(image, depth, strength=8.0, focus_depth=2.0)
        >>> wider = (out[0, 16, :, 0] > 0.205).sum()  # a disc of radius 8 |1/1 - 1/2| = 4 px
        >>> wider.item()
        9
    """
    size, depth = check_image(image), depth_like(depth, image, "depth")
    known = background_like(background, background_depth, image)
    check_number(strength, "strength", 0.0, thin_lens.LARGEST_STRENGTH)
    check_number(grain, "grain", 0.0, 1.0)
    boost = HighlightBoost(highlight_boost, highlight_threshold)
    if quality not in QUALITIES:
        raise ValueError(f"quality: unknown {quality!r}. Use one of {', '.join(QUALITIES)}.")
    check_color_space(color_space)
    if wrap:
        check_panorama(aperture, controls)
    alpha, hold_out = check_mask(alpha, image, "alpha"), check_mask(hold_out, image, "hold_out")
    planes = thin_lens.as_focus_depth(focus_depth, size["B"])
    points = as_focus_points(focus_point, size["B"])
    cameras = None if intrinsics is None else intrinsics.expand(size["B"], -1, -1)
    meaning = PixelMeaning(color_space, premultiplied and alpha is not None)
    out = image.new_empty(*image.shape[:3], 3 if alpha is None else 4)
    frames = FrameDepth(steady, refine=refine_depth, wraps=wrap)
    for index in range(size["B"]):

        def before_slice(done: int, total: int, first: int = index) -> None:
            check_cancelled()
            on_progress(100 * first + 100 * done // total, 100 * size["B"])

        def defocus_of(one: Tensor, at: slice = slice(index, index + 1)) -> Tensor:
            camera = None if cameras is None else cameras[at]
            return _defocus(one, strength, planes[at], controls, camera, points[at])

        own, cover = depth[index : index + 1], None if alpha is None else alpha[index]
        if (refine_depth or steady) and strength > 0:
            guide = meaning.as_seen(image[index], cover)
            own = _depth_of_frame(frames, guide[None], own, wrap, cache, check_cancelled)
        first_view = View(image[index], defocus_of(own), meaning, cover, wraps=wrap)
        plain = known is None and cover is None and hold_out is None and controls == AS_THE_LENS
        views = [_with_height(first_view.cut_out(), own, strength * plain)]
        if known is not None:
            behind = torch.minimum(defocus_of(known[1][index : index + 1]), views[0].defocus)
            whole = None if cover is None else torch.ones_like(cover)
            views += [View(known[0][index], behind, meaning, whole, wraps=wrap)]
        held = None if hold_out is None else hold_out[index]
        if held is not None:
            views[0] = views[0].without(held)
        lens = replace(lens_for(views, aperture, boost, quality), cache=cache)
        views = [view.with_lamps(boost) for view in views]
        rendered = render_picture(views, lens, before_slice)
        if grain:
            rendered = first_view.grained(rendered, grain, grain_seed + index)
        out[index] = first_view.keep(rendered, held)
    on_progress(100 * size["B"], 100 * size["B"])
    return out


def _depth_of_frame(
    frames: FrameDepth,
    guide: Tensor,
    depth: Tensor,
    wrap: bool,
    cache: PreparationCache | None,
    check_cancelled: CheckCancelled,
) -> Tensor:
    """Return the depth [1,H,W] of the next picture: steady, or refined by itself."""
    if frames.steady:
        return frames.next(guide[0], depth[0], check_cancelled)[None]
    return made(
        cache,
        "refined depth",
        [guide[0], depth, wrap],
        lambda: sharpened_depth(guide, depth, check_cancelled, wraps=wrap),
    )


def _defocus(
    depth: Tensor,
    strength: float,
    plane: Tensor,
    controls: FocusControls,
    camera: Tensor | None,
    point: Tensor,
) -> Tensor:
    limit = FARTHEST * sum(depth.shape[1:])
    signed = controlled_defocus(
        depth, strength, plane, controls, limit, intrinsics=camera, focus_point=point
    )
    return signed[0].clamp(-limit, limit)


def edge_scale(strength: float) -> float:
    """Return K, px·m, at which depth edges are looked for: the power of √2 at or below one.

    So the layers of a picture are the same for like strengths and for any focus, and can be kept.
    An edge is then a step of 1 to 1.41 px of defocus.

    Example:
        >>> [round(edge_scale(strength), 2) for strength in (16.0, 20.0, 22.0, 30.0)]
        [16.0, 16.0, 16.0, 22.63]
    """
    return math.pow(2.0, math.floor(2 * math.log2(strength)) / 2)


def _with_height(view: View, depth: Tensor, strength: float) -> View:
    """Return a view with the height of its surfaces, of depth [1,H,W]; without at strength 0."""
    if strength == 0:
        return view
    limit = float(FARTHEST * sum(depth.shape[1:]))
    return replace(view, height=(edge_scale(strength) / depth[0]).clamp(max=limit))
