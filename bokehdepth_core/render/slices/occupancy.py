"""Where each slice of the scene lies, so that nothing is blurred where a slice is empty.

Most slices hold a small part of the picture: one thing, or a strip of the ground. For each slice
the rows and columns are found that any layer has pixels of it in, and the parts that lie so far
from each other that their blur does not meet.
"""

import torch
from torch import Tensor

from ...boxes import Box, common_part
from ..scene.layers import Layer

CELL = 8  # px, of the squares by which parts are told apart


class Occupancy:
    """Where the slices of some layers lie.

    Attributes:
        boxes: for every slice and layer, the box that holds the pixels of both; None for none.

    Args:
        layers: of the scene, of one size; the first one holds most of its pixels.
        levels: defocus of the slices, px, rising. A pixel between two is in the slices of both.

    Example:
        >>> defocus = torch.zeros(32, 64)
        >>> defocus[:10, :8] = defocus[20:, 56:] = 2.5
        >>> scene = Layer(torch.zeros(3, 32, 64), defocus, torch.ones(32, 64))
        >>> occupancy = Occupancy([scene], [0.0, 1.0, 2.0, 3.0])
        >>> occupancy.boxes[1:3]
        [[None], [(slice(0, 32, None), slice(0, 64, None))]]
        >>> for (box,) in occupancy.parts(2, 4):
        ...     print(box)
        (slice(0, 16, None), slice(0, 8, None))
        (slice(16, 32, None), slice(56, 64, None))
    """

    def __init__(self, layers: list[Layer], levels: list[float]) -> None:
        like = layers[0].defocus
        height, width = like.shape
        bounds = torch.tensor(levels, dtype=like.dtype).to(like.device)
        found = [_most_between(layers[0], bounds)]
        found += [_few_between(layer, bounds) for layer in layers[1:]]
        # All layers are asked at once, as each answer waits for a GPU.
        between = torch.stack(found).cpu()
        there = between[:, :-1] | between[:, 1:]
        self.boxes = [
            [
                _box_of_lines(there[layer, level, : height + width], height)
                for layer in range(len(layers))
            ]
            for level in range(len(levels))
        ]
        self._cells = there.any(0)[:, height + width :].reshape(len(levels), _cells(height), -1)

    def parts(self, index: int, reach: int) -> list[list[Box | None]]:
        """Return the boxes of a slice, as `boxes`, for each part that is away from the others.

        Args:
            index: of the slice.
            reach: px, how far the light of a part goes; that of two parts does not meet.
        """
        whole = self.boxes[index]
        apart = -(-2 * reach // CELL)
        return [
            [None if box is None else common_part(box, part) for box in whole]
            for part in _parted(self._cells[index], 0, 0, apart)
        ]


def _cells(side: int) -> int:
    return -(-side // CELL)


def _most_between(layer: Layer, bounds: Tensor) -> Tensor:
    """Return which rows, columns and cells hold pixels below, between and above levels, [L + 1,N].

    Args:
        layer: of the scene, which covers most pixels.
        bounds: [L], px, rising, the levels.
    """
    height, width = layer.defocus.shape
    count = len(bounds) + 1
    between = torch.bucketize(layer.defocus.contiguous(), bounds)
    between.masked_fill_(layer.alpha <= 0, count)  # in none
    rows = layer.alpha.new_zeros(height, count + 1, dtype=torch.bool).scatter_(1, between, True)
    columns = rows.new_zeros(count + 1, width).scatter_(0, between, True)
    each = _cells(height) * _cells(width)
    down, right = (torch.arange(side, device=between.device) // CELL for side in (height, width))
    between.mul_(each).add_(down[:, None] * _cells(width)).add_(right)
    cells = rows.new_zeros((count + 1) * each)
    cells[between.flatten()] = True
    return torch.cat([rows.T, columns, cells.view(count + 1, -1)], dim=1)[:count]


def _few_between(layer: Layer, bounds: Tensor) -> Tensor:
    """Return the same of a layer that covers few pixels."""
    height, width = layer.defocus.shape
    covered = layer.alpha > 0
    row, column = covered.nonzero(as_tuple=True)
    between = torch.bucketize(layer.defocus[row, column], bounds)
    lines = height + width
    found = covered.new_zeros(len(bounds) + 1, lines + _cells(height) * _cells(width))
    found[between, row] = True
    found[between, column + height] = True
    found[between, row // CELL * _cells(width) + column // CELL + lines] = True
    return found


def _box_of_lines(there: Tensor, height: int) -> Box | None:
    rows, columns = (line.nonzero().flatten() for line in (there[:height], there[height:]))
    if not len(rows):
        return None
    top, bottom, left, right = (int(line[end]) for line in (rows, columns) for end in (0, -1))
    return slice(top, bottom + 1), slice(left, right + 1)


def _parted(cells: Tensor, top: int, left: int, apart: int) -> list[Box]:
    """Return the boxes, px, of parts that lie some cells apart from each other.

    Args:
        cells: [h,w], bool, of the host, which of them hold something.
        top: rows of cells above them.
        left: columns of cells left of them.
        apart: cells that must be empty between two parts.
    """
    ranges = []
    for axis in (0, 1):
        lines = cells.any(1 - axis).nonzero()[:, 0].tolist()
        if not lines:
            return []
        cuts = [at for at in range(1, len(lines)) if lines[at] - lines[at - 1] > apart]
        begins, ends = [0, *cuts], [*cuts, len(lines)]
        ranges.append([(lines[a], lines[b - 1] + 1) for a, b in zip(begins, ends, strict=True)])
    rows, columns = ranges
    if len(rows) == len(columns) == 1:
        (above, below), (before, behind) = rows[0], columns[0]
        return [
            (
                slice((top + above) * CELL, (top + below) * CELL),
                slice((left + before) * CELL, (left + behind) * CELL),
            )
        ]
    return [
        box
        for above, below in rows
        for before, behind in columns
        for box in _parted(cells[above:below, before:behind], top + above, left + before, apart)
    ]
