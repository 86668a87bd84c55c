"""Costs of pixels at colour edges, averaged over what looks like the pixel alone.

The window in which pictures are compared takes in what lies on either side of an edge; strands of
hair and the wall between them then have one cost, that of the stronger contrast. Where a pixel's
window is mixed, its squared differences are averaged anew over neighbours of like colour: adaptive
support weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .propagation import COLOR_SIGMA

WINDOW_SIGMA = 2.0  # px, as of the cost
REACH = 3  # px
ALIKE = 0.7  # share of like colours from which a window needs no other weights; tuned on pub1-4
MOST = 0.6  # of the pixels that have their own, which bounds time and memory


@dataclass(frozen=True, eq=False)
class AdaptiveSupport:
    """The pixels with a mixed window, and what their neighbours weigh.

    Attributes:
        pixels: [n], positions in the flattened picture, ascending.
        weights: [m,n], float16, of the neighbours, of unit sum over m.
        width: of the picture, px.
    """

    pixels: Tensor
    weights: Tensor
    width: int

    def mean(self, planes: Tensor) -> Tensor:
        """Return the weighted means of planes [N,H,W] around the pixels, [N,n]."""
        padded = functional.pad(planes[None], (REACH,) * 4, mode="replicate")[0].flatten(1)
        across = self.width + 2 * REACH
        first = (self.pixels // self.width) * across + self.pixels % self.width
        total = planes.new_zeros((len(planes), len(self.pixels)))
        for (dy, dx, _), weights in zip(_window(), self.weights, strict=True):
            places = first + ((REACH + dy) * across + REACH + dx)
            share = weights.to(planes.dtype)
            for plane, mean in zip(padded, total, strict=True):
                mean.addcmul_(share, plane[places])
        return total


def adaptive_support(guide: Tensor) -> AdaptiveSupport:
    """Return the pixels whose window is mixed, and the weights of their neighbours.

    Args:
        guide: [3,H,W], sRGB.

    Reference:
        Yoon and Kweon, "Adaptive support-weight approach for correspondence search", PAMI 2006.

    Example:
        >>> halves = torch.zeros(3, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> support = adaptive_support(halves)
        >>> [round(float(mean), 6) for mean in support.mean(halves[:1])[0, 2:4]]  # beside the edge
        [0.0, 1.0]
    """
    height, width = guide.shape[1:]
    padded = functional.pad(guide[None], (REACH,) * 4, mode="replicate")[0]
    window, likeness = _window(), []
    alike = torch.zeros_like(guide[0])
    for dy, dx, nearness in window:
        apart = padded[:, REACH + dy :, REACH + dx :][:, :height, :width] - guide
        likeness.append(nearness * torch.exp(apart.square().sum(0) / (-2 * COLOR_SIGMA**2)))
        alike += likeness[-1]
    most = alike.flatten().sort().values[int(MOST * alike.numel())]
    mixed = (alike < ALIKE * sum(nearness for *_, nearness in window)) & (alike <= most)
    pixels = mixed.flatten().nonzero()[:, 0]
    total = alike.flatten()[pixels]
    weights = torch.stack([(each.flatten()[pixels] / total).half() for each in likeness])
    return AdaptiveSupport(pixels, weights, width)


def _window() -> list[tuple[int, int, float]]:
    """Return (dy, dx, weight) of a round Gaussian window."""
    steps = range(-REACH, REACH + 1)
    return [
        (dy, dx, math.exp((dy * dy + dx * dx) / (-2 * WINDOW_SIGMA**2)))
        for dy in steps
        for dx in steps
        if dy * dy + dx * dx <= REACH * REACH + 1
    ]
