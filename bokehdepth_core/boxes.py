"""Boxes: the rows and columns of a picture that hold something, so that the rest need no work."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Box = tuple[slice, slice]
"""Rows and columns of a part of a picture, px."""

AT_ONCE = 2**15  # numbers that several steps go over before the next ones, in a processor's cache


def bounding_box(mask: Tensor) -> Box | None:
    """Return the smallest box that holds all of a mask [H,W], bool; None where it is empty.

    Example:
        >>> mask = torch.zeros(4, 6, dtype=torch.bool)
        >>> mask[1, 2] = mask[2, 4] = True
        >>> bounding_box(mask)
        (slice(1, 3, None), slice(2, 5, None))
    """
    # Both axes are asked at once, as each answer waits for a GPU.
    height, width = mask.shape
    lines = mask.new_zeros(2, max(height, width))
    lines[0, :height], lines[1, :width] = mask.any(1), mask.any(0)
    rows, columns = ([at for at, there in enumerate(line) if there] for line in lines.tolist())
    if not rows:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def box_around(box: Box, border: int, size: tuple[int, int]) -> Box:
    """Return a box with a border, px, as far as a picture of a size (height, width) has one.

    Example:
        >>> box_around((slice(1, 3), slice(2, 5)), 2, (10, 6))
        (slice(0, 5, None), slice(0, 6, None))
    """
    rows, columns = (
        slice(max(0, part.start - border), min(side, part.stop + border))
        for part, side in zip(box, size, strict=True)
    )
    return rows, columns


def box_within(box: Box, outer: Box) -> Box:
    """Return where a box lies within another one that holds it.

    Example:
        >>> box_within((slice(4, 6), slice(2, 5)), (slice(1, 9), slice(2, 7)))
        (slice(3, 5, None), slice(0, 3, None))
    """
    rows, columns = (
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(box, outer, strict=True)
    )
    return rows, columns


def common_part(box: Box, other: Box) -> Box | None:
    """Return what two boxes have in common; None for nothing.

    Example:
        >>> common_part((slice(4, 6), slice(2, 5)), (slice(1, 5), slice(4, 7)))
        (slice(4, 5, None), slice(4, 5, None))
    """
    rows, columns = (
        slice(max(one.start, two.start), min(one.stop, two.stop))
        for one, two in zip(box, other, strict=True)
    )
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def box_area(box: Box) -> int:
    """Return how many pixels a box holds.

    Example:
        >>> box_area((slice(4, 6), slice(2, 5)))
        6
    """
    area: int = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    return area


def common_box(boxes: Sequence[Box | None]) -> Box | None:
    """Return the smallest box that holds all boxes; None where there is none.

    Example:
        >>> common_box([(slice(4, 6), slice(2, 5)), None, (slice(1, 2), slice(4, 7))])
        (slice(1, 6, None), slice(2, 7, None))
    """
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    rows, columns = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*there, strict=True)
    )
    return rows, columns


def rows_at_once(height: int, width: int, device: torch.device) -> Iterator[slice]:
    """Yield the rows of a plane, as many at a time as a processor's cache holds; or all at once.

    Example:
        >>> list(rows_at_once(5, 16384, torch.device("cpu")))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, AT_ONCE // width) if device.type == "cpu" else height
    for start in range(0, height, step):
        yield slice(start, min(height, start + step))
