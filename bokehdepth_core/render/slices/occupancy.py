"""Where each slice of the scene lies, so that nothing is blurred where a slice is empty.

Most slices hold a small part of the picture: one thing, or a strip of the ground. For each slice
the rows and columns are found that any layer has pixels of it in.
"""

import torch
from torch import Tensor

from ...boxes import Box
from ..scene.layers import Layer


def slice_boxes(layers: list[Layer], levels: list[float]) -> list[list[Box | None]]:
    """Return, for every slice and layer, the box that holds the pixels of both; None for none.

    A pixel between two levels is in the slices of both.

    Args:
        layers: of the scene, of one size.
        levels: defocus of the slices, px, rising.

    Example:
        >>> defocus = torch.zeros(32, 32)
        >>> defocus[:10] = 2.5
        >>> wall = Layer(torch.zeros(3, 32, 32), defocus, torch.ones(32, 32))
        >>> [boxes[0] for boxes in slice_boxes([wall], [0.0, 1.0, 2.0, 3.0])][:3]
        [(slice(10, 32, None), slice(0, 32, None)), None, (slice(0, 10, None), slice(0, 32, None))]
    """
    like = layers[0].defocus
    bounds = torch.tensor(levels, dtype=like.dtype).to(like.device)
    # All layers are asked at once, as each answer waits for a GPU.
    between = torch.stack([_lines_between(layer, bounds) for layer in layers]).cpu()
    there = between[:, :-1] | between[:, 1:]
    return [
        [_box_of_lines(there[layer, level], len(like)) for layer in range(len(layers))]
        for level in range(len(levels))
    ]


def _lines_between(layer: Layer, bounds: Tensor) -> Tensor:
    """Return which rows, then columns, hold pixels below, between and above levels, [L + 1,H + W].

    Args:
        layer: of the scene.
        bounds: [L], px, rising, the levels.
    """
    height, width = layer.defocus.shape
    covered = layer.alpha > 0
    row, column = covered.nonzero(as_tuple=True)
    between = torch.bucketize(layer.defocus[covered], bounds)
    found = covered.new_zeros(len(bounds) + 1, height + width)
    found[between, row] = True
    found[between, column + height] = True
    return found


def _box_of_lines(there: Tensor, height: int) -> Box | None:
    rows, columns = (line.nonzero().flatten() for line in (there[:height], there[height:]))
    if not len(rows):
        return None
    top, bottom, left, right = (int(line[end]) for line in (rows, columns) for end in (0, -1))
    return slice(top, bottom + 1), slice(left, right + 1)
