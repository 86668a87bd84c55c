"""Filling of uncertain pixels from confident ones of the same surface, guided by the photo."""

import torch
from torch import Tensor

COLOR_SCALE = 0.06  # sRGB difference between neighbours that counts as an edge
ROUNDS = 3


def propagate(values: Tensor, confidence: Tensor, guide: Tensor) -> Tensor:
    """Return values [H,W] in which uncertain pixels follow confident ones across smooth colour.

    Normalised convolution with a recursive filter along rows and columns: its weight falls with
    distance and with every colour edge crossed. A confident pixel keeps its own value.

    Args:
        values: [H,W], any unit.
        confidence: [H,W], 0…1.
        guide: [H,W,3], sRGB, 0…1.

    Reference:
        Gastal and Oliveira, "Domain transform for edge-aware image and video processing",
        SIGGRAPH 2011 (recursive filter).
    """
    weight = confidence.square() + 1e-6
    reach = max(values.shape) / 4
    planes = torch.stack([values * weight, weight])
    for step in range(ROUNDS):
        # Radii of the passes halve, so that stripes of one pass vanish in the next.
        sigma = reach * 0.5**step
        planes = _pass(planes, _decay(guide, 1, sigma))
        planes = _pass(planes.mT, _decay(guide, 0, sigma).mT).mT
    spread = planes[0] / planes[1].clamp(min=1e-20)
    keep = (confidence / 0.5).clamp(max=1).square()
    return keep * values + (1 - keep) * spread


def _decay(guide: Tensor, dim: int, sigma: float) -> Tensor:
    """Return the share that each pixel takes over from the pixel before it along `dim`."""
    step = guide.diff(dim=dim).abs().sum(-1) / COLOR_SCALE
    decay = torch.exp(-(2**0.5) / sigma - step)
    first = torch.zeros_like(decay.narrow(dim, 0, 1))
    return torch.cat([first, decay], dim=dim)


def _pass(planes: Tensor, decay: Tensor) -> Tensor:
    """Return [C,H,W] filtered along the rows, forwards and backwards."""
    columns = list(planes.unbind(-1))
    for i in range(1, len(columns)):
        columns[i] = columns[i] + decay[..., i] * columns[i - 1]
    forwards = columns
    back = list(planes.unbind(-1))
    for i in range(len(back) - 2, -1, -1):
        back[i] = back[i] + decay[..., i + 1] * back[i + 1]
    return torch.stack(forwards, -1) + torch.stack(back, -1) - planes
