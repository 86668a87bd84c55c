"""Drafts: the picture through the lens at half its size, and what is in focus at full size.

A blur of a few px holds no detail finer than two px, so a quarter of the pixels is enough for it.
What is in focus is taken from the full picture, behind whatever blurred foreground covers it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .scene.discontinuities import EDGE_STEP, find_depth_edges
from .scene.matting import matte_far_side
from .slices.compositing import SHARP_RADIUS

# Blur, px, from which on half the size holds all detail there is. Tuned on drafts of the public
# scenes of `docs/render.md`: 35.01 dB; 34.92 at 1.5, 34.94 at 2.5.
BLURRED_RADIUS = 2.0

RenderHalf = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def render_at_half_size(light: Tensor, defocus: Tensor, render_half: RenderHalf) -> Tensor:
    """Return the picture through the lens, [3,H,W], linear light, from a quarter of the pixels.

    Args:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
        render_half: renders light [3,h,w] and defocus [h,w], px of that size, to light [3,h,w] and
            its blurred foreground [4,h,w], as `composite_with_foreground`.
    """
    height, width = defocus.shape
    even = _padded_to_even(light, defocus)
    clean = matte_far_side(even[:3], even[3], find_depth_edges(even[3])).background
    blurred, foreground = (_doubled(planes) for planes in render_half(*halved(clean, even[3])))
    in_focus = clean * (1 - foreground[3:]) + foreground[:3]
    sharpness = 1 - (even[3].abs() - SHARP_RADIUS) / (BLURRED_RADIUS - SHARP_RADIUS)
    return torch.lerp(blurred, in_focus, sharpness.clamp(0, 1))[:, :height, :width]


def _padded_to_even(light: Tensor, defocus: Tensor) -> Tensor:
    """Return light and defocus as [4,H,W], H and W even, the last row or column repeated."""
    odd = (0, defocus.shape[1] % 2, 0, defocus.shape[0] % 2)
    return F.pad(torch.cat([light, defocus[None]])[None], odd, mode="replicate")[0]


def _doubled(planes: Tensor) -> Tensor:
    return F.interpolate(planes[None], scale_factor=2, mode="bilinear", align_corners=False)[0]


def halved(light: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
    """Return light [3,⌈H/2⌉,⌈W/2⌉] and defocus, px of that size, of one side of each depth edge.

    Of 2x2 px that an edge crosses, only the nearer or the farther ones are averaged, whichever
    are more (the nearer ones where both are as many). So no pixel mixes both sides.

    Args:
        light: [3,H,W], linear light.
        defocus: [H,W], px, front positive.
    """
    even = _padded_to_even(light, defocus)
    light, defocus = even[:3], even[3]
    low = -F.max_pool2d(-defocus[None], 2)[0]
    high = F.max_pool2d(defocus[None], 2)[0]
    chosen = torch.where(F.avg_pool2d(defocus[None], 2)[0] >= (low + high) / 2, high, low)
    crossed = high - low > EDGE_STEP
    middle, side = _fourfold((low + high) / 2), _fourfold((chosen - low) - (high - chosen))
    member = ~_fourfold(crossed) | ((defocus - middle) * side >= 0)
    share = F.avg_pool2d(member[None].to(light), 2)
    return F.avg_pool2d(light * member, 2) / share, chosen / 2


def _fourfold(plane: Tensor) -> Tensor:
    return plane.repeat_interleave(2, 0).repeat_interleave(2, 1)
