"""Whose blur is it? How far what a pixel shows of blur belongs to the pixel's own surface.

The blur of a thin near thing spreads over smooth sky beside it. The costs of the sky's pixels then
tell the blur of that thing, clearly and wrongly. What may speak for a pixel's surface is contrast
among like colours close to it; and an edge, but only for what is the smaller part of its window: a
wire owns its edges, the sky around it does not.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .propagation import COLOR_SIGMA

WINDOW_SIGMA = 2.0  # px, as of the cost
REACH = 4  # px
THIN, WIDE = 0.4, 0.65  # share of like colours in the window of what owns its edges, and does not
ENOUGH_OWN = 0.1  # contrast of its own over the range of its cost that makes a pixel's blur its own


def own_share(reference: Tensor, noise: float, cost_range: Tensor) -> Tensor:
    """Return how far each pixel's cost speaks of its own surface, [H,W], 0…1.

    Args:
        reference: [3,H,W], square-root-encoded light, of the sharp picture.
        noise: variance of its noise, summed over the channels.
        cost_range: [H,W], how much worse the worst candidate matches than a perfect one.

    Example:
        >>> grey = torch.full((3, 9, 9), 0.5)
        >>> float(own_share(grey, 0.0, torch.ones(9, 9)).max())
        0.0
    """
    contrast = (_owned_contrast(reference) - noise).clamp(min=0)
    return (contrast / cost_range.clamp(min=1e-9) / ENOUGH_OWN).clamp(max=1)


def _owned_contrast(reference: Tensor) -> Tensor:
    """Return the variance around each pixel that its surface owns, [H,W], three channels' sum."""
    height, width = reference.shape[1:]
    padded = functional.pad(reference[None], (REACH,) * 4, mode="replicate")[0]
    whole, like = _Moments(reference), _Moments(reference)
    for dy, dx, nearness in _window():
        top, left = REACH + dy, REACH + dx
        apart = padded[:, top : top + height, left : left + width] - reference
        square = apart.square().sum(0)
        whole.add(apart, square, torch.full_like(square, nearness))
        like.add(apart, square, nearness * torch.exp(square / (-2 * COLOR_SIGMA**2)))
    edges = (whole.variance() - like.variance()).clamp(min=0)
    owns_edges = ((WIDE - like.weight / whole.weight) / (WIDE - THIN)).clamp(0, 1)
    return like.variance() + owns_edges * edges


class _Moments:
    """Sums up to a weighted variance around each pixel."""

    def __init__(self, planes: Tensor) -> None:
        self.weight = torch.zeros_like(planes[0])
        self._first = torch.zeros_like(planes)
        self._second = torch.zeros_like(planes[0])

    def add(self, apart: Tensor, square: Tensor, weight: Tensor) -> None:
        """Take in the difference from the pixel, [3,H,W], its square and weight, [H,W]."""
        self.weight += weight
        self._first += weight * apart
        self._second += weight * square

    def variance(self) -> Tensor:
        """Return the weighted variance, [H,W]."""
        mean = self._first / self.weight
        return (self._second / self.weight - mean.square().sum(0)).clamp(min=0)


def _window() -> list[tuple[int, int, float]]:
    """Return (dy, dx, weight) of a round Gaussian window."""
    steps = range(-REACH, REACH + 1)
    return [
        (dy, dx, math.exp((dy * dy + dx * dx) / (-2 * WINDOW_SIGMA**2)))
        for dy in steps
        for dx in steps
        if dy * dy + dx * dx <= REACH * REACH + 1
    ]
