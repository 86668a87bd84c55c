"""Lens blur from depth: slices of equal defocus, blurred whole and laid over each other."""

import torch
from torch import Tensor

from .aperture import DISC, Aperture
from .checks import check_image, check_number
from .color import linear_to_srgb, srgb_to_linear
from .hooks import CheckCancelled, OnProgress, ignore_progress, never_cancelled
from .optics import defocus
from .spot import SpotBlur

SHARP_RADIUS = 0.25  # px; a smaller spot lies within one pixel


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
    """Return the picture as a lens focused at `focus_depth` takes it, [B,H,W,3], sRGB."""
    check_image(image)
    check_number(strength, "strength", 0.0)
    blur = defocus(depth.to(torch.float32), strength, focus_depth)
    done = []
    for index, (picture, signed) in enumerate(zip(image.float(), blur, strict=True)):
        on_progress(index, len(image))
        if (signed.abs() < SHARP_RADIUS).all():
            done.append(picture)
            continue
        light = srgb_to_linear(picture).movedim(-1, 0)
        done.append(
            linear_to_srgb(_slices(light, signed, aperture, check_cancelled)).movedim(0, -1)
        )
    on_progress(len(image), len(image))
    return torch.stack(done).to(image.dtype)


def _slices(
    light: Tensor, signed: Tensor, aperture: Aperture, check_cancelled: CheckCancelled
) -> Tensor:
    margin = int(signed.abs().max()) + 2
    spot = SpotBlur(tuple(light.shape[1:]), margin, aperture, light.device)
    levels = torch.round(signed).int()
    out, cover = torch.zeros_like(light), torch.zeros_like(light[:1])
    for level in torch.unique(levels).tolist():
        check_cancelled()
        inside = (levels == level).to(light)[None]
        layer = torch.cat([light * inside, inside])
        layer = layer if level == 0 else spot.blur(spot.transform(layer), float(level))
        alpha = layer[3:].clamp(0, 1)
        out, cover = layer[:3] + (1 - alpha) * out, alpha + (1 - alpha) * cover
    return out / cover.clamp(min=1e-6)
