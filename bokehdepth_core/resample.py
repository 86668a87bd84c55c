"""Depth maps resampled to the size of a picture, without depths that no surface has."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .datatypes import DepthMap

EDGE = 0.05  # relative step of disparity between neighbours that counts as a depth edge
_LOG = logging.getLogger(__name__)


def fit_depth(
    depth: DepthMap, size: tuple[int, int], *, soft_edges: bool = False, wraps: bool = False
) -> DepthMap:
    """Return a depth map resampled to (height, width) px where it differs.

    Disparity is interpolated (a plane stays a plane). Next to a depth edge the nearest pixel is
    taken: between a person and a wall there is nothing half-way.

    Args:
        depth: of another size, or not.
        size: (height, width), px.
        soft_edges: interpolate across depth edges too, for a renderer that will refine the depth:
            it finds the edge of the picture within such a ramp, but keeps the stairs of the other.
        wraps: whether left and right border join, as in a 360° panorama.

    Returns:
        The map of the new size on the same device; intrinsics follow it.

    Reference:
        Disparity is linear over a plane's picture: Hartley and Zisserman, Multiple View Geometry.

    Example:
        >>> fit_depth(DepthMap(torch.full((1, 6, 8), 2.0)), (12, 16)).depth.shape
        torch.Size([1, 12, 16])
    """
    if tuple(depth.depth.shape[1:]) == size:
        return depth
    old = tuple(depth.depth.shape[1:])
    _LOG.info("depth: %dx%d made %dx%d like the image.", *old, *size)
    confidence = depth.confidence
    if confidence is not None:
        confidence = _around_joint(_resize, confidence, size, "bilinear", wraps).clamp(0, 1)
    intrinsics = depth.intrinsics
    if intrinsics is not None:
        scale = torch.tensor([size[1] / old[1], size[0] / old[0], 1.0]).to(intrinsics)
        intrinsics = intrinsics * scale[:, None]
    plane = depth.disparity.float()
    disparity = _around_joint(_resize_disparity, plane, size, soft_edges, wraps)
    return DepthMap(torch.reciprocal(disparity), confidence, intrinsics, depth.metric)


def _around_joint(
    resize: Callable[[Tensor, tuple[int, int], Any], Tensor],
    planes: Tensor,
    size: tuple[int, int],
    how: object,
    wraps: bool,
) -> Tensor:
    """Return resized planes [B,H,W]; where left and right border join, those of the middle turn."""
    if not wraps:
        return resize(planes, size, how)
    height, width = size
    return resize(planes.repeat(1, 1, 3), (height, 3 * width), how)[..., width : 2 * width]


def _resize_disparity(disparity: Tensor, size: tuple[int, int], soft_edges: bool) -> Tensor:
    smooth = _resize(disparity, size, "bilinear")
    if soft_edges:
        return smooth
    high = functional.max_pool2d(disparity[:, None], 3, 1, 1)[:, 0]
    low = -functional.max_pool2d(-disparity[:, None], 3, 1, 1)[:, 0]
    edge = _resize(((high - low) > EDGE * high).float(), size, "nearest-exact") > 0.5
    return torch.where(edge, _resize(disparity, size, "nearest-exact"), smooth)


def _resize(planes: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    options = {"align_corners": False} if mode == "bilinear" else {}
    return functional.interpolate(planes[:, None].float(), size, mode=mode, **options)[:, 0]
