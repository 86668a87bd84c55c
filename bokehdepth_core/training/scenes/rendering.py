"""From layers to a photo, its depth, and frames through an open lens.

A layer is blurred by itself, slice by slice of equal blur, and laid over what lies behind it, which
goes on behind it: so a blurred foreground shows the true background, nothing is in-painted. What
this leaves out: two layers that both cover a part of the lens are taken as independent of each
other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...optics.aperture import Aperture
from ...optics.polygon import polygon_transform
from ...optics.special import jinc

SLICE_STEP = 1.0  # px of radius between two slices of one layer, at the largest strength
MOST_SLICES = 32
_OPAQUE = 1e-3


@dataclass(frozen=True, eq=False)
class Layer:
    """One thing of a scene over the whole canvas.

    Attributes:
        light: [3,h,w], linear light, >= 0; above 1 for lamps. Not multiplied by alpha.
        alpha: [h,w], 0…1.
        disparity: [h,w], 1/m; also where alpha is 0, so that blur is even across the outline.
    """

    light: Tensor
    alpha: Tensor
    disparity: Tensor


def sharp_picture(layers: Sequence[Layer]) -> Tensor:
    """Return the picture through a pinhole, [3,h,w], linear light.

    Args:
        layers: far to near; the first covers everything.
    """
    out = torch.zeros_like(layers[0].light)
    for layer in layers:
        out = out * (1 - layer.alpha) + layer.light * layer.alpha
    return out


def visible_disparity(layers: Sequence[Layer]) -> Tensor:
    """Return the disparity of the first surface that brings opacity to one half, [h,w], 1/m."""
    found = layers[0].disparity
    left = torch.ones_like(found)  # transmittance from the camera
    open_yet = torch.ones_like(found, dtype=torch.bool)
    for layer in reversed(layers):
        left = left * (1 - layer.alpha)
        here = open_yet & (left <= 0.5)
        found = torch.where(here, layer.disparity, found)
        open_yet &= ~here
    return found


def blurred_pictures(
    layers: Sequence[Layer],
    strengths: Sequence[float],
    focus_disparity: float,
    aperture: Aperture | None = None,
) -> Tensor:
    """Return the pictures through a lens, [N,3,h,w], linear light.

    The canvas wraps around at its border: what lies within the largest radius of it is wrong and
    belongs to be cut off.

    Args:
        layers: far to near; the first covers everything.
        strengths: N bokeh strengths K, px·m.
        focus_disparity: of the plane that is sharp, 1/m.
        aperture: a disc or a polygon; None for a disc.

    Reference:
        r = K (d − d_f); Goodman, Introduction to Fourier Optics, for the transfer functions.
    """
    height, width = layers[0].alpha.shape
    shape = aperture or Aperture()
    if not shape.has_closed_form:
        raise ValueError("aperture: scenes are made through discs and polygons. Give one of these.")
    fy = 2 * math.pi * torch.fft.fftfreq(height)
    fx = 2 * math.pi * torch.fft.rfftfreq(width)
    out = torch.zeros(len(strengths), 3, height, width)
    for layer in layers:
        planes, disparities = _slices(layer, max(strengths))
        spectrum = torch.fft.rfft2(planes)
        for index, strength in enumerate(strengths):
            radii = [strength * (one - focus_disparity) for one in disparities]
            transfer = torch.stack([_transfer(shape, radius, fy, fx) for radius in radii])
            both = torch.fft.irfft2((spectrum * transfer[:, None]).sum(0), s=(height, width))
            # What the slices of one surface lose or gain together is no light of the scene.
            cover = both[4].clamp(min=_OPAQUE)
            alpha = (both[3] / cover).clamp(0, 1)
            out[index] = out[index] * (1 - alpha) + (both[:3] / cover).clamp(min=0)
    return out


def _slices(layer: Layer, strength: float) -> tuple[Tensor, list[float]]:
    """Return a layer cut into slices of one disparity, [S,5,h,w], and their disparities.

    Planes: light times alpha, alpha, and the slice's own weight; the weights add up to 1.
    """
    full = torch.cat(
        [layer.light * layer.alpha, layer.alpha[None], torch.ones_like(layer.alpha)[None]]
    )
    low, high = float(layer.disparity.min()), float(layer.disparity.max())
    count = min(MOST_SLICES, math.ceil(strength * (high - low) / SLICE_STEP) + 1)
    if count == 1:
        return full[None], [low]
    place = (layer.disparity - low) * ((count - 1) / (high - low))
    weights = (1 - (place - torch.arange(count)[:, None, None]).abs()).clamp(min=0)
    disparities = [low + (high - low) * index / (count - 1) for index in range(count)]
    return weights[:, None] * full, disparities


def _transfer(aperture: Aperture, radius: float, fy: Tensor, fx: Tensor) -> Tensor:
    """Return the transform of the blur of one radius, px, positive in front of the focus."""
    if aperture.is_round:
        return jinc(torch.hypot(fy[:, None], fx) * abs(radius))
    return polygon_transform(fy * radius, fx * radius, aperture.blades, aperture.rotation)
