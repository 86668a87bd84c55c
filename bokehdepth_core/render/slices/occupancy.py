"""Where each slice of the scene lies, so that nothing is blurred where a slice is empty.

Most slices hold a small part of the picture: one thing, or a strip of the ground. The picture is
cut into square cells, and for each slice the cells are found that any layer has pixels of it in.
"""

import torch
from torch import Tensor

from ...boxes import Box
from ..scene.layers import Layer

CELL = 16  # px, side of a cell


def slice_boxes(layers: list[Layer], levels: list[float]) -> list[list[Box | None]]:
    """Return, for every slice and layer, the box of cells with pixels in both; None for none.

    A pixel between two levels is in the slices of both.

    Args:
        layers: of the scene, of one size.
        levels: defocus of the slices, px, rising.

    Example:
        >>> defocus = torch.zeros(32, 32)
        >>> defocus[:10] = 2.5
        >>> wall = Layer(torch.zeros(3, 32, 32), defocus, torch.ones(32, 32))
        >>> [boxes[0] for boxes in slice_boxes([wall], [0.0, 1.0, 2.0, 3.0])][:3]
        [(slice(0, 32, None), slice(0, 32, None)), None, (slice(0, 16, None), slice(0, 32, None))]
    """
    like = layers[0].defocus
    height, width = like.shape
    rows, columns = (torch.arange(side, device=like.device) // CELL for side in (height, width))
    across = (width - 1) // CELL + 1
    cell, count = rows[:, None] * across + columns, ((height - 1) // CELL + 1) * across
    bounds = torch.tensor(levels, dtype=like.dtype).to(like.device)
    between = [_cells_between(layer, bounds, cell, count) for layer in layers]
    # All layers are asked at once, as each answer waits for a GPU.
    found = torch.stack(between).view(len(layers), len(levels) + 1, -1, across).cpu()
    there = found[:, :-1] | found[:, 1:]
    return [
        [_box_of_cells(there[layer, level], height, width) for layer in range(len(layers))]
        for level in range(len(levels))
    ]


def _cells_between(layer: Layer, bounds: Tensor, cell: Tensor, count: int) -> Tensor:
    """Return which of `count` cells hold pixels below, between and above levels, [L + 1, count]."""
    covered = layer.alpha > 0
    between = torch.bucketize(layer.defocus[covered], bounds)
    found = torch.zeros((len(bounds) + 1) * count, dtype=torch.bool, device=cell.device)
    found[between * count + cell[covered]] = True
    return found.view(-1, count)


def _box_of_cells(there: Tensor, height: int, width: int) -> Box | None:
    rows, columns = there.any(1).nonzero().flatten(), there.any(0).nonzero().flatten()
    if not len(rows):
        return None
    top, bottom, left, right = (
        int(line[end]) * CELL for line in (rows, columns) for end in (0, -1)
    )
    return slice(top, min(height, bottom + CELL)), slice(left, min(width, right + CELL))
