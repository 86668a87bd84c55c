"""Moves a picture by a fraction of a pixel, or by a smooth field, without softening it.

A frame that is resampled softly would look a little out of focus, which is just what the sweep
measures. So each picture is resampled along columns and then along rows by a wide windowed sinc.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...optics.special import sine_quotient

TAPS = 8  # of the windowed sinc: even


@dataclass(frozen=True)
class Similarity:
    """Where the points of the reference lie in a frame: x' = c + (1 + scale) R (x - c) + shift.

    Attributes:
        shift: (x, y), px.
        scale: growth around the middle c of the picture, 0 for none.
        rotation: radians, from +x towards +y.

    Example:
        >>> Similarity((3.0, 4.0)).largest_move((100, 100))
        5.0
    """

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 0.0
    rotation: float = 0.0

    def field(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Return the displacement x' - x, [2,H,W], px to the right and down."""
        height, width = size
        y = (torch.arange(height, device=device) - (height - 1) / 2)[:, None].expand(size)
        x = (torch.arange(width, device=device) - (width - 1) / 2).expand(size)
        a = (1 + self.scale) * math.cos(self.rotation) - 1
        b = (1 + self.scale) * math.sin(self.rotation)
        return torch.stack([a * x - b * y + self.shift[0], b * x + a * y + self.shift[1]])

    def largest_move(self, size: tuple[int, int]) -> float:
        """Return the largest displacement at the picture's corners, px."""
        y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
        a = (1 + self.scale) * math.cos(self.rotation) - 1
        b = (1 + self.scale) * math.sin(self.rotation)
        return max(
            math.hypot(a * u - b * v + self.shift[0], b * u + a * v + self.shift[1])
            for u in (-x, x)
            for v in (-y, y)
        )


def warped(planes: Tensor, field: Tensor, taps: int = TAPS) -> Tensor:
    """Return planes [C,H,W] taken from where a field points, with their borders repeated.

    Args:
        planes: [C,H,W].
        field: [2,H,W], px to the right and down, smooth: it changes by a few percent at most from
            one pixel to the next.
        taps: of the windowed sinc; 4 is enough to compare pictures.

    Reference:
        Catmull and Smith, "3-D transformations of images in scanline order", SIGGRAPH 1980; Duchon,
        "Lanczos filtering in one and two dimensions", 1979, for the kernel.

    Example:
        >>> picture = torch.arange(20.0).expand(1, 9, 20)
        >>> moved = warped(picture, torch.tensor([1.0, 0.0])[:, None, None].expand(2, 9, 20))
        >>> round(float(moved[0, 4, 10]), 3)
        11.0
    """
    # The first pass leaves every pixel in the row it comes from, so that the field is needed where
    # the second pass will look: at y with y + dy(x, y) = row.
    rightwards = _linear_along_rows(field[0].mT, -_at_rows(field[1]).mT).mT
    moved = _along_rows(planes, rightwards, taps)
    return _along_rows(moved.mT, field[1].mT, taps).mT


def _at_rows(down: Tensor) -> Tensor:
    """Return dy at the pixel that comes from each row, [H,W]: two steps of a fixed point."""
    found = down
    for _ in range(2):
        found = _linear_along_rows(down.mT, -found.mT).mT
    return found


def _linear_along_rows(plane: Tensor, move: Tensor) -> Tensor:
    """Return a plane [H,W] read at x + move, between two pixels of a row."""
    width = plane.shape[-1]
    place = torch.arange(width, device=plane.device) + move
    place = place.clamp(0, width - 1)
    low = place.floor().long().clamp(max=max(width - 2, 0))
    share = place - low
    high = (low + 1).clamp(max=width - 1)
    return plane.gather(-1, low) * (1 - share) + plane.gather(-1, high) * share


def _along_rows(planes: Tensor, move: Tensor, taps: int) -> Tensor:
    """Return planes [C,H,W] read at x + move, [H,W], through a windowed sinc."""
    width = planes.shape[-1]
    place = torch.arange(width, device=planes.device) + move
    first = place.floor()
    share = place - first
    total = torch.zeros_like(planes)
    weights = torch.zeros_like(move)
    for tap in range(1 - taps // 2, taps // 2 + 1):
        away = share - tap
        angle = math.pi * away
        weight = sine_quotient(angle) * sine_quotient(angle / (taps // 2))
        column = (first.long() + tap).clamp(0, width - 1)
        total += weight * planes.gather(-1, column.expand_as(planes))
        weights += weight
    return total / weights
