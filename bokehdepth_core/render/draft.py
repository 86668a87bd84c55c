"""The exposure of a picture from half its size, for a quick draft that stays sharp in focus."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .compositing import SHARP_RADIUS, Exposure
from .inpaint import EDGE_STEP
from .layers import without_spill

BLURRED_RADIUS = 2.0  # px of blur from which on half the size holds all detail there is


def expose_at_half_size(
    light: Tensor, signed: Tensor, expose: Callable[[Tensor, Tensor], Exposure]
) -> Tensor:
    """Return [3,H,W] linear light through the lens, from an exposure of a quarter of the pixels.

    What is in focus keeps its full size, behind whatever blurred front covers it.

    Args:
        light: [3,H,W], linear light.
        signed: [H,W], defocus, px, front positive.
        expose: gives the exposure, its front kept, of [3,h,w] light and [h,w] defocus, px of that
            size.
    """
    height, width = signed.shape
    odd = (0, width % 2, 0, height % 2)
    even = F.pad(torch.cat([light, signed[None]])[None], odd, mode="replicate")[0]
    clear = without_spill(even[:3], even[3])
    exposure = expose(*halved(clear, even[3]))
    sharp = 1 - (even[3].abs() - SHARP_RADIUS) / (BLURRED_RADIUS - SHARP_RADIUS)
    front = _twice(exposure.front)
    in_focus = clear * (1 - front[3:]) + front[:3]
    out = torch.lerp(_twice(exposure.light), in_focus, sharp.clamp(0, 1))
    return out[:, :height, :width]


def _twice(planes: Tensor) -> Tensor:
    return F.interpolate(planes[None], scale_factor=2, mode="bilinear", align_corners=False)[0]


def halved(light: Tensor, signed: Tensor) -> tuple[Tensor, Tensor]:
    """Return light [3,⌈H/2⌉,⌈W/2⌉] and defocus, px of that size, of one side of each depth edge.

    From 2x2 px it takes the nearer or the farther end, whichever is closer to the mean; of equals
    the nearer.
    """
    odd = (0, signed.shape[1] % 2, 0, signed.shape[0] % 2)
    even = F.pad(torch.cat([light, signed[None]])[None], odd, mode="replicate")[0]
    light, signed = even[:3], even[3]
    low = -F.max_pool2d(-signed[None], 2)[0]
    high = F.max_pool2d(signed[None], 2)[0]
    chosen = torch.where(F.avg_pool2d(signed[None], 2)[0] >= (low + high) / 2, high, low)
    across = high - low > EDGE_STEP
    middle, side = _fourfold((low + high) / 2), _fourfold((chosen - low) - (high - chosen))
    member = ~_fourfold(across) | ((signed - middle) * side >= 0)
    share = F.avg_pool2d(member[None].to(light), 2)
    return F.avg_pool2d(light * member, 2) / share, chosen / 2


def _fourfold(plane: Tensor) -> Tensor:
    return plane.repeat_interleave(2, 0).repeat_interleave(2, 1)
