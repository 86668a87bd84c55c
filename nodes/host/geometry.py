"""Depth from other nodes as `DepthMap`, at the size of the picture, and as a grey picture."""

import logging

import torch
from torch import Tensor

from ...bokehdepth_core import DepthMap
from ...bokehdepth_core.devices import kth_smallest
from ...bokehdepth_core.files.depth.colours import COLOUR_MAP, kind_of_picture
from .pictures import as_rgb

OVERSHOOT = 1.1  # above 1, up to here: what bicubic and Lanczos resampling add
LEVELS = 100  # whole values beyond are more likely 8-bit levels than metres
GREY = 0.02  # spread of the channels that a grey picture may have
_LOG = logging.getLogger(__name__)
PICTURE_RANGE = (0.001, 0.999)  # percentiles of disparity drawn black and white


def depth_from_picture(image: Tensor, name: str = "depth") -> DepthMap:
    """Return a depth picture, near is white, as normalised disparity without metres.

    Values above 1 are metres, as Depth Anything 3 and Depth Pro nodes pass them on: 0, negative
    and NaN are not measured there. A little above 1, as resampling leaves it, is scaled back.

    Args:
        image: [B,H,W,C].
        name: of the input, for messages; so below.

    Raises:
        ValueError: a colour-mapped depth picture, levels of 8 bits, or colour beyond 1.
    """
    colours = as_rgb(image, name)
    high = largest_grey(colours, name)
    if is_in_metres(high):
        return _metres_from_picture(colours, high, name)
    check_not_colour_mapped(colours, name)
    grey = colours.mean(dim=-1)
    disparity = torch.nan_to_num(grey, nan=0.0, posinf=1.0, neginf=0.0).clamp(min=0)
    return DepthMap.from_normalized_disparity(disparity / max(high, 1.0))


def largest_grey(image: Tensor, name: str = "depth") -> float:
    """Return the largest finite mean of the channels of pictures [B,H,W,C]; 0 without one."""
    grey = as_rgb(image, name).mean(dim=-1)
    seen = grey[torch.isfinite(grey)]
    return float(seen.max()) if seen.numel() else 0.0


def is_in_metres(high: float) -> bool:
    """Return whether a depth picture with this largest grey is read as metres."""
    return high > OVERSHOOT


def _metres_from_picture(colours: Tensor, high: float, name: str) -> DepthMap:
    grey = colours[..., 0]
    finite = grey[torch.isfinite(grey)]
    if not torch.allclose(colours[..., :1].nan_to_num(), colours.nan_to_num(), rtol=1e-3):
        raise ValueError(
            f"{name}: connect METRIC_DEPTH, or a grey picture 0…1, near is white: the channels of "
            f"this IMAGE differ, and it goes up to {high:.4g}."
        )
    if high <= 255 and bool((finite == finite.round()).all()) and high > LEVELS:
        raise ValueError(
            f"{name}: divide it by 255, or connect METRIC_DEPTH: an IMAGE with whole values up to "
            f"{high:g} looks like 8-bit levels."
        )
    _LOG.info("%s: values up to %.4g in an IMAGE are taken as metres.", name, high)
    return DepthMap(_surfaces(grey))


def check_not_colour_mapped(colours: Tensor, name: str = "depth") -> None:
    """Refuse turbo, Spectral and the like, whose brightness is no depth.

    Raises:
        ValueError: it is one.
    """
    if (colours.amax(dim=-1) - colours.amin(dim=-1)).max() < GREY:
        return
    if kind_of_picture(colours[0].cpu().numpy()) == COLOUR_MAP:
        raise ValueError(
            f"{name}: switch its node from turbo, Spectral, viridis … to grey, near is white: a "
            "colour-mapped depth picture cannot be read back as depth."
        )


def depth_from_moge(geometry: dict, name: str = "depth") -> DepthMap:
    """Return MoGe's geometry in metres; pixels outside its mask are infinitely far.

    Args:
        geometry: `depth` [B,H,W], m, inf where invalid; `mask` [B,H,W] bool and `intrinsics`
            [B,3,3] in shares of width and height, where known.
        name: of the input, for messages.
    """
    depth = _depth_plane(geometry, "MOGE_GEOMETRY", name)
    mask = geometry.get("mask")
    if mask is not None:
        depth = torch.where(mask.to(depth.device, torch.bool), depth, torch.inf)
    intrinsics = geometry.get("intrinsics")
    if intrinsics is not None:
        height, width = depth.shape[1:]
        scale = torch.tensor([width, height, 1.0], device=intrinsics.device)
        intrinsics = (intrinsics.float() * scale[:, None]).expand(len(depth), -1, -1)
    return DepthMap(_surfaces(depth), None, intrinsics)


def depth_from_da3(geometry: dict, name: str = "depth") -> DepthMap:
    """Return Depth Anything 3's geometry as normalised disparity; its sky is infinitely far.

    The dictionary does not say which of its models is in metres, and none of them is without the
    camera's focal length, so the depth counts as relative: one range for all pictures or views.

    Args:
        geometry: `depth` [B,H,W]; `sky` [B,H,W], 0…1, and `intrinsics` [1,S,3,3], px, where
            known; S views are a batch of S.
        name: of the input, for messages.
    """
    depth = _depth_plane(geometry, "DA3_GEOMETRY", name)
    sky = geometry.get("sky")
    if sky is not None:
        depth = torch.where(sky.to(depth.device).reshape(depth.shape) >= 0.5, torch.inf, depth)
    disparity = torch.reciprocal(_surfaces(depth))
    share = disparity / disparity.max().clamp(min=torch.finfo(disparity.dtype).tiny)
    normalized = DepthMap.from_normalized_disparity(share)
    intrinsics = geometry.get("intrinsics")
    if intrinsics is not None:
        intrinsics = intrinsics.float().reshape(-1, 3, 3).expand(len(depth), -1, -1)
    return DepthMap(normalized.depth, None, intrinsics, metric=False)


def _depth_plane(geometry: dict, socket: str, name: str) -> Tensor:
    depth = geometry.get("depth")
    if depth is None:
        found = ", ".join(sorted(map(str, geometry))) or "nothing"
        raise ValueError(
            f"{name}: this {socket} holds no depth, only {found}. "
            "Choose a model that estimates depth."
        )
    return depth.float()


def _surfaces(depth: Tensor) -> Tensor:
    """Return depth with infinity wherever the value is no distance (NaN, zero, negative)."""
    return torch.where(depth > 0, depth, torch.inf)


def depth_picture(depth: DepthMap, near: float = 0.0, far: float = 0.0) -> Tensor:
    """Return depth as a grey picture, [B,H,W,3], 0…1: near is white, infinity is black.

    One range for the whole batch, so that a video does not flicker: the 0.1 and 99.9 percentiles
    of disparity over all surfaces, or what is given, which is the same for every chunk of a clip.

    Args:
        depth: the maps.
        near: depth that is white, in the unit of the maps; 0 takes the nearest.
        far: depth that is black; 0 takes the farthest.

    Raises:
        ValueError: `far` that is not beyond `near`.
    """
    if near and far and far <= near:
        raise ValueError(
            f"picture_far: {far:g} is not beyond picture_near, {near:g}. Give a larger one, or 0."
        )
    disparity = depth.disparity.float()
    low, high = _range(disparity[torch.isfinite(depth.depth)])
    low, high = (1 / far if far else low), (1 / near if near else high)
    share = (disparity - low) / (high - low) if high > low else (disparity > 0).float()
    return share.clamp(0, 1)[..., None].expand(-1, -1, -1, 3).contiguous()


def _range(surfaces: Tensor) -> tuple[float, float]:
    if not surfaces.numel():
        return 0.0, 0.0
    ranks = [max(1, round(share * surfaces.numel())) for share in PICTURE_RANGE]
    low, high = (float(kth_smallest(surfaces, rank)) for rank in ranks)
    return low, high
