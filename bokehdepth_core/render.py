"""Lens blur from depth: surfaces cut into slices of equal defocus, blurred, laid front to back.

A photo shows one surface at each pixel. What lies behind a depth edge is not in it, but a blurred
front lets it through, so it is completed first (`edges.py`). Each slice is then convolved with the
lens's spot of its defocus, and the slices cover each other from the front: coverage adds up along
one surface, which neighbouring slices share, until nothing shows through.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .aperture import DISC, Aperture
from .checks import check_depth, check_image, check_number
from .color import linear_to_srgb, srgb_to_linear
from .edges import Surface, separate_surfaces
from .hooks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .optics import as_focus_depth, defocus
from .spot import SpotBlur

SHARP_RADIUS = 0.25  # px; a spot this small lies within one pixel
BOOST_FROM = 0.75  # linear light of the strongest channel at which a highlight begins to be boosted
BOOST_RADIUS = 2.0  # px of blur from which on a highlight is boosted in full


@dataclass(frozen=True)
class _Quality:
    """How finely defocus is cut: px between slices at the focus plane, and as share of it."""

    step: float
    growth: float


QUALITIES = {
    "draft": _Quality(2.0, 0.3),
    "default": _Quality(1.0, 0.1),
    "final": _Quality(0.5, 0.05),
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
        quality: "draft", "default" or "final": how finely defocus is cut.
        on_progress: called for every slice, in hundredths of a picture.
        check_cancelled: raises to stop; called for every slice.

    Raises:
        TypeError: a picture or depth that is not floating point.
        ValueError: sizes that do not match, unusable depth, strength, focus depth or quality.
    """
    size, depth = check_image(image), _depth_like(depth, image)
    check_number(strength, "strength", 0.0)
    check_number(highlight_boost, "highlight_boost", 0.0)
    if quality not in QUALITIES:
        raise ValueError(f"quality: unknown {quality!r}. Use one of {', '.join(QUALITIES)}.")
    planes = as_focus_depth(focus_depth, size["B"])
    rendered = []
    for index in range(size["B"]):

        def picture_progress(done: int, total: int, first: int = index) -> None:
            on_progress(100 * first + 100 * done // total, 100 * size["B"])

        signed = defocus(depth[index : index + 1], strength, planes[index])[0]
        rendered.append(
            _render_one(
                image[index],
                signed,
                _Lens(aperture, QUALITIES[quality], highlight_boost),
                picture_progress,
                check_cancelled,
            )
        )
    on_progress(100 * size["B"], 100 * size["B"])
    return torch.stack(rendered)


def _depth_like(depth: Tensor, image: Tensor) -> Tensor:
    size = check_depth(depth)
    batch, height, width = image.shape[:3]
    if (size["H"], size["W"]) != (height, width) or size["B"] not in (1, batch):
        raise ValueError(
            f"depth: expected {[batch, height, width]} like the image, found {list(depth.shape)}. "
            "Resample it to the picture first."
        )
    return depth.to(image.device, torch.float32).expand(batch, -1, -1)


@dataclass(frozen=True)
class _Lens:
    aperture: Aperture
    quality: _Quality
    highlight_boost: float


def _render_one(
    picture: Tensor,
    signed: Tensor,
    lens: _Lens,
    on_progress: OnProgress,
    check_cancelled: CheckCancelled,
) -> Tensor:
    """Return one [H,W,3] picture through the lens; `signed` is its defocus, [H,W], px."""
    if (signed.abs() < SHARP_RADIUS).all():
        return picture.clone()
    light = srgb_to_linear(picture.float()).movedim(-1, 0)
    brightest = light.max().clamp(min=1.0)
    light = light * _highlight_gain(light, signed, lens.highlight_boost)
    surfaces = separate_surfaces(light, signed)
    levels = _levels(signed, lens.quality)
    margin = int(signed.abs().max()) + 2
    spot = SpotBlur((signed.shape[0], signed.shape[1]), margin, lens.aperture, signed.device)
    out = torch.zeros_like(light)
    open_share = torch.ones_like(light[:1])
    for done, level in enumerate(range(len(levels) - 1, -1, -1)):  # front first
        check_cancelled()
        on_progress(done, len(levels))
        layer = _slice(surfaces, levels, level)
        if layer is None:
            continue
        radius = float(levels[level])
        if abs(radius) >= SHARP_RADIUS:
            layer = spot.blur(spot.transform(layer), radius)
        cover = layer[3:]
        taken = torch.minimum(cover.clamp(min=0), open_share)
        out += layer[:3] * torch.where(cover > 1e-9, taken / cover, 0.0)
        open_share = open_share - taken
    out = out / (1 - open_share).clamp(min=1e-6)
    out = torch.minimum(out.clamp(min=0), brightest)
    return linear_to_srgb(out).movedim(0, -1).to(picture.dtype)


def _highlight_gain(light: Tensor, signed: Tensor, boost: float) -> Tensor:
    """Return the factor [1,H,W] that gives clipped light back, the same for all channels.

    It rises smoothly from `BOOST_FROM` to white, and from the focus plane to `BOOST_RADIUS`, so
    that what is sharp keeps its look.
    """
    share = ((light.amax(0, keepdim=True) - BOOST_FROM) / (1 - BOOST_FROM)).clamp(0, 1)
    clipped = share * share * (3 - 2 * share)
    return 1 + boost * clipped * (signed.abs() / BOOST_RADIUS).clamp(max=1)


def _levels(signed: Tensor, quality: _Quality) -> Tensor:
    """Return the defocus of the slices, px, rising, 0 among them; both ends of `signed` within."""
    behind = _ladder(-float(signed.min()), quality)
    front = _ladder(float(signed.max()), quality)
    return torch.tensor([-x for x in reversed(behind)] + [0.0] + front, device=signed.device)


def _ladder(end: float, quality: _Quality) -> list[float]:
    """Return rising steps from above 0 to exactly `end`; none where `end` is not above 0."""
    if end <= 0:
        return []
    rungs = [quality.step]
    while rungs[-1] < end:
        rungs.append(rungs[-1] + max(quality.step, quality.growth * rungs[-1]))
    return [rung * end / rungs[-1] for rung in rungs]


def _slice(surfaces: list[Surface], levels: Tensor, level: int) -> Tensor | None:
    """Return light times coverage, and coverage, [4,H,W], of one slice; None where it is empty.

    A pixel between two levels is shared by them in proportion, so that its mean blur is its own.
    """
    here = float(levels[level])
    below = float(levels[level - 1]) if level > 0 else here - 1
    above = float(levels[level + 1]) if level + 1 < len(levels) else here + 1
    total: Tensor | None = None
    for surface in surfaces:
        rise = (surface.defocus - below) / (here - below)
        fall = (above - surface.defocus) / (above - here)
        weight = torch.minimum(rise, fall).clamp(0, 1) * surface.cover
        if not weight.any():
            continue
        part = torch.cat([surface.light * weight, weight[None]])
        total = part if total is None else total + part
    return total
