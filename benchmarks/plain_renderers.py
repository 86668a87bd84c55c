"""The two plain ways to blur by depth, as baselines: gathering, and slices laid over each other."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from bokehdepth_core import Aperture
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear

SMALLEST = 0.5  # px; a pixel's own extent


def inside(x: float, y: float, radius: Tensor, aperture: Aperture) -> Tensor:
    """Return how far, 0…1, a point at (x, y) px lies inside blur discs of the given radii."""
    if aperture.blades == 0:
        return (radius + 0.5 - math.hypot(x, y)).clamp(0, 1)
    half = math.pi / aperture.blades
    towards = math.atan2(y, x) - math.radians(aperture.rotation) - half
    off = math.hypot(x, y) * math.cos(math.remainder(towards, 2 * half))
    return (radius * math.cos(half) + 0.5 - off).clamp(0, 1)


def gather(image: Tensor, signed: Tensor, aperture: Aperture) -> Tensor:
    """Average, at each pixel of [H,W,3], over its own blur disc: the cost grows with r²."""
    light = srgb_to_linear(image).movedim(-1, 0)[None]
    reach = math.ceil(float(signed.abs().max()))
    wide = pad(light, (reach,) * 4, mode="replicate")[0]
    radius = signed.abs().clamp(min=SMALLEST)
    height, width = signed.shape
    total, count = torch.zeros_like(light[0]), torch.zeros_like(signed)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            # Light comes from where the PSF, turned by 180° behind the focus plane, points from.
            share = inside(-x, -y, radius, aperture)
            if aperture.blades % 2:
                share = torch.where(signed < 0, inside(x, y, radius, aperture), share)
            count += share
            top, left = reach + y, reach + x
            total += share * wide[:, top : top + height, left : left + width]
    return linear_to_srgb(total / count).movedim(0, -1)


def slices(image: Tensor, signed: Tensor, aperture: Aperture, count: int = 64) -> Tensor:
    """Cut [H,W,3] into slices of defocus, blur each, and lay them over each other, back first."""
    light = srgb_to_linear(image).movedim(-1, 0)
    step = max(float(signed.max() - signed.min()) / count, 1e-6)
    index = (signed / step).round()  # one slice lies at the focus plane
    out, seen = torch.zeros_like(light), torch.zeros_like(light[:1])
    for level in index.unique().tolist():
        mask = (index == level).float()[None]
        psf = _drawn_psf(level * step, aperture)
        layer = conv2d(torch.cat([light * mask, mask])[:, None], psf, padding=len(psf[0, 0]) // 2)
        layer = layer[:, 0]
        out = out * (1 - layer[3:]) + layer[:3]
        seen = seen * (1 - layer[3:]) + layer[3:]
    return linear_to_srgb(out / seen.clamp(min=1e-6)).movedim(0, -1)


def _drawn_psf(signed: float, aperture: Aperture) -> Tensor:
    """Return a drawn PSF [1,1,S,S] of sum 1, as a correlation needs it."""
    radius, reach = torch.tensor(max(abs(signed), SMALLEST)), math.ceil(abs(signed))
    turn = -1 if signed >= 0 else 1
    axis = range(-reach, reach + 1)
    psf = torch.stack(
        [torch.stack([inside(turn * x, turn * y, radius, aperture) for x in axis]) for y in axis]
    )
    return (psf / psf.sum())[None, None]
