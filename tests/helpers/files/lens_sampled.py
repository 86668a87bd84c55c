"""Pictures of slanted textured planes through a lens, one sharp picture for each point of the lens.

Nothing here is shared with the blur model under test: every lens sample is a pinhole view of its
own, in which a plane of disparity d(x, y) moves by (d − d_focus) · K · (u, v), and near planes
cover far ones.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bokehdepth_core.color import linear_to_srgb

SAMPLES = 96


@dataclass(frozen=True)
class Plane:
    """A card of texture, [h,w,3] linear light over the whole view, seen where `inside`.

    Disparity in the pinhole view is d + across · x + down · y, 1/m, x and y from the middle, px.
    """

    texture: Tensor
    inside: Tensor
    d: float
    across: float = 0.0
    down: float = 0.0


def texture(size: int, seed: int) -> Tensor:
    """Return noise of several scales, [size,size,3], linear light."""
    torch.manual_seed(seed)
    total = torch.zeros(1, 3, size, size)
    for cells, weight in ((8, 0.3), (size // 8, 0.3), (size // 3, 0.4)):
        noise = torch.rand(1, 3, cells, cells)
        total += weight * functional.interpolate(noise, size=(size, size), mode="bicubic")
    return total[0].permute(1, 2, 0).clamp(0.02, 0.98) ** 2


def scene(size: int = 96) -> list[Plane]:
    """Return a slanted wall and a card before it, near to far in the list."""
    inside = torch.zeros(size, size)
    inside[size // 4 : -size // 4, size // 4 : -size // 3] = 1
    wall = Plane(texture(size, 1), torch.ones(size, size), 0.45, across=0.2 / size)
    return [Plane(texture(size, 2), inside, 1.0), wall]


def disparity(planes: list[Plane]) -> Tensor:
    """Return the true disparity of the pinhole view, [h,w], 1/m."""
    size = len(planes[0].inside)
    along = torch.arange(size) - (size - 1) / 2
    result = torch.zeros(size, size)
    for plane in reversed(planes):
        own = plane.d + plane.across * along + plane.down * along[:, None]
        result = torch.where(plane.inside > 0.5, own, result)
    return result


def photo(
    planes: list[Plane], strength: float, focus_disparity: float, zoom: float = 1.0
) -> Tensor:
    """Return the picture through a lens, [h,w,3], sRGB; magnified by `zoom` as focus breathes."""
    total = torch.zeros_like(planes[0].texture)
    for index in range(SAMPLES if strength else 1):
        radius = math.sqrt((index + 0.5) / SAMPLES) * strength
        angle = index * math.pi * (3 - math.sqrt(5))
        total += _view(
            planes, radius * math.cos(angle), radius * math.sin(angle), focus_disparity, zoom
        )
    return linear_to_srgb(total / (SAMPLES if strength else 1))


def _view(planes: list[Plane], u: float, v: float, focus: float, zoom: float) -> Tensor:
    """Return the linear light seen from one point of the lens."""
    size = len(planes[0].inside)
    along = (torch.arange(size) - (size - 1) / 2) / zoom
    y, x = torch.meshgrid(along, along, indexing="ij")
    result = torch.zeros_like(planes[0].texture)
    for plane in reversed(planes):
        # A point at x0 is seen at x0 + u (d(x0) − d_focus), an affine map: solved for x0.
        a, b, c = plane.across, plane.down, plane.d - focus
        scale = 1 + a * u + b * v
        shift = (a * x + b * y + c) / scale
        place = torch.stack([x - u * shift, y - v * shift], -1) / (size / 2)
        planes_in = torch.cat([plane.texture, plane.inside[..., None]], -1).permute(2, 0, 1)[None]
        seen = functional.grid_sample(
            planes_in, place[None], padding_mode="border", align_corners=False
        )[0].permute(1, 2, 0)
        alpha = seen[..., 3:]
        result = seen[..., :3] * alpha + result * (1 - alpha)
    return result
