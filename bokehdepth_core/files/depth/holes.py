"""Holes of measured depth, filled along the photo's colours.

A sensor leaves pixels without depth: at edges, on glass and black cloth, in a frame around what it
sees. A hole is marked by infinite depth with confidence 0, so it is told from the sky. Each hole
takes the disparity of measured pixels near it, those of its own colour first.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ...datatypes import DepthMap

_COLOUR_SPREAD = 0.08  # sRGB; tuned on an indoor depth camera's frame and a phone's LiDAR
_SMOOTH_ROUNDS = 24  # at full size, after the pyramid
_FLOOR = 1e-4  # weight of a colour that fits nowhere: some depth is better than none


def hole_mask(depth: DepthMap) -> Tensor:
    """Return where a map holds no measured depth, [B,H,W] bool: infinite, with confidence 0."""
    if depth.confidence is None:
        return torch.zeros_like(depth.depth, dtype=torch.bool)
    return torch.isinf(depth.depth) & (depth.confidence == 0)


def fill_holes(depth: DepthMap, image: Tensor | None = None) -> DepthMap:
    """Return a map whose holes are filled; confidence stays 0 there, and sky stays sky.

    A pyramid carries mean disparity and mean colour of the measured pixels outwards; on the way
    back every hole pixel weighs the coarser cells around it by how well their colour fits its own
    (joint bilateral upsampling), and a few rounds of the same weights smooth what was filled.

    Args:
        depth: with holes as `hole_mask` finds them.
        image: [H,W,3] or [B,H,W,3], sRGB, 0…1, of any size with the same view; None fills by
            distance alone.

    Raises:
        ValueError: nothing is measured at all.

    Reference:
        Kopf et al., Joint Bilateral Upsampling, SIGGRAPH 2007; Levin et al., Colorization Using
        Optimization, SIGGRAPH 2004 (weights of neighbours by colour).

    >>> known = torch.tensor([[[1.0, torch.inf, 4.0]]])
    >>> holes = DepthMap(known, torch.tensor([[[1.0, 0.0, 1.0]]]))
    >>> photo = torch.tensor([[[0.0], [1.0], [1.0]]]).expand(1, 3, 3)
    >>> round(float(fill_holes(holes, photo).depth[0, 0, 1]), 1)
    4.0
    """
    holes = hole_mask(depth)
    if not holes.any():
        return depth
    if holes.flatten(1).all(dim=1).any():
        raise ValueError("depth: nothing is measured at all. Give a map with some depth.")
    guide = _guide(depth, image)
    disparity = _filled(depth.disparity.float()[:, None], ~holes[:, None], guide)[:, 0]
    found = torch.where(holes, torch.reciprocal(disparity), depth.depth)
    return DepthMap(found.to(depth.depth.dtype), depth.confidence, depth.intrinsics, depth.metric)


def _guide(depth: DepthMap, image: Tensor | None) -> Tensor:
    """Return the photo at the size of the map, [B,3,h,w]; plain grey where there is none."""
    batch, height, width = depth.depth.shape
    if image is None:
        return depth.depth.new_zeros((batch, 3, height, width), dtype=torch.float32)
    picture = image[None] if image.ndim == 3 else image
    planes = picture[..., :3].movedim(-1, 1).float().to(depth.depth.device)
    if planes.shape[-2:] != (height, width):
        planes = functional.interpolate(
            planes, (height, width), mode="bilinear", align_corners=False, antialias=True
        )
    return planes.expand(batch, -1, -1, -1)


def _filled(disparity: Tensor, known: Tensor, guide: Tensor) -> Tensor:
    """Return disparity [B,1,h,w] with values wherever `known` is False.

    Args:
        disparity: 1/m; 0 at sky, and anything where not known.
        known: bool.
        guide: [B,3,h,w], sRGB.
    """
    if bool(known.all()):
        return disparity
    weight = known.float()
    if max(disparity.shape[-2:]) <= 2:
        total = weight.sum(dim=(-2, -1), keepdim=True).clamp(min=1e-6)
        mean = (disparity * weight).sum(dim=(-2, -1), keepdim=True) / total
        return torch.where(known, disparity, mean)
    batch, row, column = (~known[:, 0]).nonzero(as_tuple=True)  # of every hole pixel
    place = (batch, row, column)
    coarse, coarse_guide = _coarser(disparity, weight, guide)
    half = (place[0], place[1] // 2, place[2] // 2)
    own = guide[place[0], :, place[1], place[2]]
    found = disparity.clone()
    found[place[0], 0, place[1], place[2]] = _weighed(coarse, coarse_guide, half, own, 0.5)
    for _ in range(_SMOOTH_ROUNDS):
        found[place[0], 0, place[1], place[2]] = _weighed(found, guide, place, own, 1.0)
    return found


def _coarser(disparity: Tensor, weight: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    """Return disparity at half the size, filled, and the colour of what was measured there."""

    def half(planes: Tensor) -> Tensor:
        return functional.avg_pool2d(planes, 2, ceil_mode=True, count_include_pad=False)

    share = half(weight)
    known = share > 0
    safe = share.clamp(min=1e-6)
    colour = torch.where(known, half(guide * weight) / safe, half(guide))
    mean = torch.where(known, half(disparity * weight) / safe, 0.0)
    return _filled(mean, known, colour), colour


def _weighed(
    disparity: Tensor,
    guide: Tensor,
    place: tuple[Tensor, Tensor, Tensor],
    own: Tensor,
    fall: float,
) -> Tensor:
    """Return the mean disparity of the 3 × 3 cells around each place, weighed by colour, [n].

    Args:
        disparity: [B,1,h,w].
        guide: [B,3,h,w], colour of the cells.
        place: batch, row and column of n cells.
        own: [n,3], the colours that the cells are compared with.
        fall: weight of a cell beside the middle one; of one across the corner its square.
    """
    batch, row, column = place
    height, width = disparity.shape[-2:]
    total = norm = torch.zeros_like(own[:, 0])
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = (row + dy).clamp(0, height - 1), (column + dx).clamp(0, width - 1)
            weight = fall ** (abs(dy) + abs(dx)) * _likeness(guide[batch, :, y, x], own)
            total, norm = total + weight * disparity[batch, 0, y, x], norm + weight
    return total / norm


def _likeness(colour: Tensor, own: Tensor) -> Tensor:
    """Return how well colours [n,3] fit, [n], `_FLOOR`…1."""
    squares = ((colour - own) ** 2).sum(dim=1)
    return torch.exp(-squares / (2 * _COLOUR_SPREAD**2)) + _FLOOR
