"""In front of the focus plane or behind it: a relative depth picture tells what blur alone cannot.

The prior's disparity need only be in order. Its value at the focus plane is the one around which
blur is smallest: among all thresholds, |prior − threshold| that grows most alike with the offset.
"""

import torch
from torch import Tensor

from ....checks import check_shape
from ....datatypes import DepthMap

THRESHOLDS = 128  # tried between the ends of the prior
MOST_PIXELS = 20_000  # that decide
SURE = 0.5


def focus_sides(prior: DepthMap, offset: Tensor, confidence: Tensor) -> Tensor:
    """Return +1 where a pixel lies in front of the focus plane and −1 behind it, [H,W].

    Args:
        prior: [1,H,W], of the same picture, in metres or relative.
        offset: [H,W], |d − d_f|, 1/m.
        confidence: [H,W], 0…1, in the offset.

    Raises:
        ValueError: a prior of another size.

    Example:
        >>> disparity = torch.linspace(0.1, 1, 10)[None, None]
        >>> offset = (disparity[0] - 0.55).abs()
        >>> focus_sides(DepthMap(1 / disparity), offset, torch.ones(1, 10)).tolist()
        [[-1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    check_shape(prior.depth, "prior", "1 H W")
    if prior.depth.shape[1:] != offset.shape:
        raise ValueError(
            f"prior: expected {list(offset.shape)} like the stack, found "
            f"{list(prior.depth.shape[1:])}. Give a depth map of the same picture."
        )
    order = prior.disparity[0].to(offset)
    sure = confidence >= min(SURE, float(confidence.max()))
    values, blur = order[sure], offset[sure]
    step = max(1, len(values) // MOST_PIXELS)
    plane = _threshold(values[::step], blur[::step])
    return torch.where(order > plane, 1.0, -1.0).to(offset)


def _threshold(values: Tensor, blur: Tensor) -> Tensor:
    """Return the value around which |values − it|, scaled on either side, fits the blur best."""
    best, found = float("inf"), values.median()
    for threshold in torch.linspace(0, 1, THRESHOLDS, device=values.device):
        plane = values.amin() + threshold * (values.amax() - values.amin())
        apart = (values - plane).abs()
        scale = (blur * apart).sum() / apart.square().sum().clamp(min=1e-20)
        error = float((blur - scale * apart).abs().sum())
        if error < best:
            best, found = error, plane
    return found
