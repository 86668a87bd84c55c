"""A picture cut into overlapping tiles, so that work on a large one needs no more memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST_SIDE = 2048  # px; a picture of this size squared, or less, is one tile
ONE_MORE_TURN = 64  # px beyond one turn of a panorama that a tile of all its columns ever sees


@dataclass(frozen=True)
class Tile:
    """One part of a picture: what is looked at, and what of it is kept.

    Attributes:
        seen: rows and columns of the picture that the work needs. In a 360° panorama columns below
            0, and from its width on, are those of the other end.
        kept: rows and columns of the picture that the tile gives.
        inner: where `kept` lies within `seen`.
    """

    seen: tuple[slice, slice]
    kept: tuple[slice, slice]
    inner: tuple[slice, slice]


def cut_tiles(
    height: int,
    width: int,
    support_radius: int,
    largest: int = LARGEST_SIDE,
    *,
    wraps: bool = False,
) -> list[Tile]:
    """Return tiles whose kept parts cover the picture once.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        support_radius: px around a kept part that its result depends on.
        largest: px; side of what a tile sees, unless the support radius alone asks for more: a kept
            part is never smaller than that. Tiles begin at even rows and columns.
        wraps: whether left and right border join: tiles then see columns of the other end.

    Example:
        >>> [tile.kept[1] for tile in cut_tiles(50, 100, 10, 70)]
        [slice(0, 50, None), slice(50, 100, None)]
        >>> cut_tiles(50, 100, 10, wraps=True)[0].seen[1]
        slice(-10, 110, None)
    """
    halo = support_radius + support_radius % 2
    kept = max(largest - 2 * halo, halo, 2)
    if height * width <= largest * largest:
        kept = max(height, width)
    return [
        Tile((seen_y, seen_x), (kept_y, kept_x), (inner_y, inner_x))
        for seen_y, kept_y, inner_y in _cut(height, kept, halo, False)
        for seen_x, kept_x, inner_x in _cut(width, kept, halo, wraps)
    ]


def _cut(size: int, largest: int, halo: int, wraps: bool) -> Iterator[tuple[slice, slice, slice]]:
    count = math.ceil(size / largest)
    step = 2 * math.ceil(size / count / 2)
    if count == 1:
        halo = min(halo, size + size % 2 + ONE_MORE_TURN)
    lowest, highest = (-halo, size + halo) if wraps else (0, size)
    for start in range(0, size, step):
        end, first = min(size, start + step), max(lowest, start - halo)
        yield (
            slice(first, min(highest, end + halo)),
            slice(start, end),
            slice(start - first, end - first),
        )
