"""What is no error but worth a look at connected depth: its unit, shape, and which end is white."""

import torch
from torch import Tensor

from ...bokehdepth_core import DepthMap
from .geometry import is_in_metres, largest_grey

STRETCHED = 1.02  # ratio of the sides' ratios from which depth counts as stretched
UPSIDE = 0.15  # of the range of disparity that the top may be nearer than the bottom
_EDGE = 5  # part of the height that counts as top or bottom


def doubts(value: object, depth: DepthMap, image: Tensor) -> str:
    """Return what to look at, a sentence each; empty where all is well.

    Args:
        value: what the socket received.
        depth: the same as depth, at the size of the image.
        image: [B,H,W,3].
    """
    said = (guessed_unit(value), _stretched(value, image), _looks_inverted(value, depth))
    return " ".join(filter(None, said))


def guessed_unit(value: object, name: str = "depth") -> str:
    """Return how an IMAGE with values beyond 1 was read as depth; empty for all else.

    Args:
        value: what the socket received, [B,H,W,C] for an IMAGE.
        name: of the input.
    """
    high = largest_grey(value, name) if isinstance(value, Tensor) else 0.0
    if high <= 1:
        return ""
    if is_in_metres(high):
        return (
            f"{name}: an IMAGE up to {high:.4g} was taken as metres. Give values of 0…1, near is "
            "white, for a depth picture."
        )
    return (
        f"{name}: an IMAGE up to {high:.4g} was taken as relative. Connect METRIC_DEPTH if it is "
        "metres."
    )


def _stretched(value: object, image: Tensor) -> str:
    plane = value.get("depth") if isinstance(value, dict) else getattr(value, "depth", value)
    if not isinstance(plane, Tensor) or plane.ndim < 3:
        return ""
    (height, width), (rows, columns) = plane.shape[1:3], image.shape[1:3]
    ratio = (width / height) / (columns / rows)
    if 1 / STRETCHED < ratio < STRETCHED:
        return ""
    return (
        f"depth: crop the photo alike: {width}x{height} px of depth were stretched onto "
        f"{columns}x{rows} px."
    )


def _looks_inverted(value: object, depth: DepthMap) -> str:
    """Return a doubt about a depth picture whose top is nearer than its bottom.

    The ground at the bottom of a photo is nearly always nearer than what is at its top.
    """
    if not isinstance(value, Tensor) or depth.metric:
        return ""
    disparity = depth.disparity.float()
    band = max(1, disparity.shape[1] // _EDGE)
    top, bottom = disparity[:, :band].mean(), disparity[:, -band:].mean()
    span = disparity.max() - disparity.min()
    if not torch.isfinite(span) or top - bottom <= UPSIDE * span:
        return ""
    return (
        "depth: put Invert Image before it if far is white: its top looks nearer than its bottom."
    )
