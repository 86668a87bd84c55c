"""A PSF that changes over the picture: windows with one each, which pass into one another.

What hides a part of the aperture is seen from the place on the sensor, so a pixel takes the point
spread function (PSF) of where it lies: the mean of what is around it, weighted as the aperture is
seen from there. An even picture stays even. What is around each window is blurred by the PSF of its
middle, and windows pass into one another. They lie fixed on the whole picture, so a tile of it is
blurred as the whole is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .aperture import Aperture

ACROSS = 8  # windows over the longer side, at most
LARGEST_STEP = 1.0  # px by which vignetting may change from window to window; fewer are enough then
SMALLEST_CELL = 32.0  # px between the middles of windows


@dataclass(frozen=True)
class Field:
    """Where pictures lie in the whole picture that the lens takes.

    Attributes:
        height: of the whole, px.
        width: of the whole, px.
        top: row of the pictures' first row, px.
        left: column of their first column, px.

    Example:
        >>> Field(400, 600, top=100).scaled(0.5)
        Field(height=200.0, width=300.0, top=50.0, left=0.0)
    """

    height: float
    width: float
    top: float = 0.0
    left: float = 0.0

    def scaled(self, factor: float) -> "Field":
        """Return the same place where pixels are 1/`factor` as large."""
        return Field(
            factor * self.height, factor * self.width, factor * self.top, factor * self.left
        )


@dataclass(frozen=True, eq=False)
class Window:
    """A part of the pictures that one PSF blurs.

    Attributes:
        rows: of the pictures, where its share is above 0.
        columns: likewise.
        share: [h,w], 0…1; over all windows they add up to 1.
        off_axis: (down, right), its middle from the middle of the whole picture, in half diagonals.
    """

    rows: slice
    columns: slice
    share: Tensor
    off_axis: tuple[float, float]


def windows_across(aperture: Aperture, radius: float, field: Field) -> int:
    """Return how many windows the longer side of the whole picture needs, 2…`ACROSS`.

    From the middle to a corner vignetting moves by `cat_eye` + `swirl` blur radii.

    Args:
        aperture: with `cat_eye` or `swirl`.
        radius: px, of the blur.
        field: where the pictures lie.

    Example:
        >>> lens, field = Aperture(cat_eye=0.5), Field(400, 600)
        >>> [windows_across(lens, radius, field) for radius in (1, 4, 30)]
        [2, 4, 8]
    """
    moved = abs(radius) * (aperture.cat_eye + aperture.swirl)
    half_diagonals = 2 * max(field.height, field.width) / math.hypot(field.height, field.width)
    return min(ACROSS, max(2, math.ceil(moved * half_diagonals / LARGEST_STEP)))


def cut_windows(
    size: tuple[int, int], field: Field, device: torch.device, across: int = ACROSS
) -> Iterator[Window]:
    """Yield the windows that lie on pictures.

    Args:
        size: (height, width) of the pictures, px.
        field: where they lie.
        device: where the shares go.
        across: windows over the longer side of the whole.

    Example:
        >>> windows = list(cut_windows((64, 96), Field(64, 96), torch.device("cpu")))
        >>> len(windows), windows[0].rows, windows[0].off_axis[0] < 0  # above the middle
        (6, slice(0, 40, None), True)
    """
    cell = max(SMALLEST_CELL, max(field.height, field.width) / across)
    half_diagonal = math.hypot(field.height, field.width) / 2
    columns = list(_cut(size[1], field.left, field.width, cell, device))
    for rows, row_share, down in _cut(size[0], field.top, field.height, cell, device):
        for places, share, right in columns:
            off_axis = (down / half_diagonal, right / half_diagonal)
            yield Window(rows, places, row_share[:, None] * share, off_axis)


def _cut(
    size: int, first: float, whole: float, cell: float, device: torch.device
) -> Iterator[tuple[slice, Tensor, float]]:
    """Yield the pieces of one axis: px, their shares there, and their middle from the whole's."""
    # Made on the CPU: reading where a share begins and ends from a device would wait for it.
    at = torch.arange(size, dtype=torch.float32) + (0.5 + first)
    count = max(1, round(whole / cell))
    cell = whole / count
    for index in range(count):
        middle = (index + 0.5) * cell
        # From window to window over half a cell; the outermost reach to the picture's border.
        rise = (at - (middle - 0.75 * cell)) / (0.5 * cell) if index else torch.ones_like(at)
        fall = ((middle + 0.75 * cell) - at) / (0.5 * cell)
        fall = fall if index < count - 1 else torch.ones_like(at)
        share = torch.minimum(rise, fall).clamp(0, 1)
        there = share.nonzero()
        if len(there):
            place = slice(int(there[0]), int(there[-1]) + 1)
            yield place, share[place].to(device), middle - whole / 2


def reflected(planes: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return [C,h,w], part of the pictures [C,H,W] and of their mirror images around them."""
    return planes[:, _mirrored(rows, planes)][:, :, _mirrored(columns, planes, 2)]


def _mirrored(place: slice, planes: Tensor, axis: int = 1) -> Tensor:
    size, at = planes.shape[axis], torch.arange(place.start, place.stop, device=planes.device)
    if size == 1:
        return torch.zeros_like(at)
    at = at.remainder(2 * (size - 1))
    return torch.minimum(at, 2 * (size - 1) - at)
