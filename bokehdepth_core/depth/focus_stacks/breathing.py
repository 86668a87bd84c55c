"""Brings frames of several focus distances onto each other, before any picture is sharp everywhere.

A lens magnifies a little more or less as its focus moves (breathing). Neighbours in the stack share
most of what is sharp, so each is compared with the next, and their moves are joined to the frame
that shows the smallest part of the scene: all others have what it shows.
"""

import math

from torch import Tensor

from ...callbacks import CheckCancelled
from ..alignment.align import LARGEST_MOVE, SMALLEST_MOVE, SMALLEST_SIDE
from ..alignment.registration import needed_pixels, pyramid, register
from ..alignment.warp import Similarity, warped


def places_of(frames: Tensor, check_cancelled: CheckCancelled) -> list[Similarity]:
    """Return where the points of the most magnified frame lie in every frame, px.

    Args:
        frames: [N,H,W,3], sRGB, neighbours in focus beside each other.
        check_cancelled: raises to stop.

    Raises:
        ValueError: a frame that shows too little of what the one before it shows, or lies far off.
    """
    if min(frames.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"frames: pictures under {SMALLEST_SIDE} px show too little to be aligned. "
            "Switch the alignment off."
        )
    chain = [Similarity()]
    for index in range(1, len(frames)):
        step = _between(frames[index - 1], frames[index], index, check_cancelled)
        chain.append(joined(chain[-1], step))
    widest = max(chain, key=lambda place: place.scale)
    back = inverse(widest)
    return [joined(back, place) for place in chain]


def joined(first: Similarity, second: Similarity) -> Similarity:
    """Return where points of the first picture lie after both moves.

    Example:
        >>> joined(Similarity((1.0, 0.0)), Similarity((2.0, 0.5))).shift
        (3.0, 0.5)
    """
    x, y = first.shift
    a = (1 + second.scale) * math.cos(second.rotation)
    b = (1 + second.scale) * math.sin(second.rotation)
    return Similarity(
        (a * x - b * y + second.shift[0], b * x + a * y + second.shift[1]),
        (1 + first.scale) * (1 + second.scale) - 1,
        first.rotation + second.rotation,
    )


def inverse(place: Similarity) -> Similarity:
    """Return the move that undoes another.

    Example:
        >>> place = Similarity((1.0, 2.0), 0.1, 0.2)
        >>> both = joined(inverse(place), place)
        >>> round(abs(both.shift[0]) + abs(both.shift[1]) + abs(both.scale), 9)
        0.0
    """
    turned = joined(
        Similarity(place.shift),
        Similarity((0.0, 0.0), -place.scale / (1 + place.scale), -place.rotation),
    )
    x, y = turned.shift
    return Similarity((-x, -y), turned.scale, turned.rotation)


def moved(frame: Tensor, place: Similarity) -> Tensor:
    """Return a frame [H,W,3] brought into place; one in place already is left to the bit."""
    size = (frame.shape[0], frame.shape[1])
    if place.largest_move(size) < SMALLEST_MOVE:
        return frame
    planes = warped(frame.float().permute(2, 0, 1), place.field(size, frame.device))
    return planes.permute(1, 2, 0).clamp(0, 1).to(frame.dtype)


def _between(one: Tensor, other: Tensor, index: int, check_cancelled: CheckCancelled) -> Similarity:
    """Return where points of one frame lie in the next, from what is sharp in either.

    A frame is compared with a blurred version of the other, which speaks where the other is the
    sharper one; so both take either part once, and the two answers count by their pixels.
    """
    size = (one.shape[0], one.shape[1])
    answers = []
    for reference, frame, back in ((one, other, False), (other, one, True)):
        levels = pyramid(reference, frame[None])
        place, trusted = register(levels, 0, check_cancelled)
        level = levels[-1].frames.shape[1:]
        near = place.largest_move(size) <= LARGEST_MOVE * max(size)
        if trusted >= needed_pixels((level[0], level[1])) and near:
            answers.append((inverse(place) if back else place, trusted))
    if not answers:
        raise ValueError(
            f"frames: cannot align frame {index + 1} with frame {index}: too little of one looks "
            "like the other, blurred. Put the frames in the order of their focus, leave one out, "
            "or switch the alignment off."
        )
    total = sum(trusted for _, trusted in answers)
    shift_x = sum(place.shift[0] * trusted for place, trusted in answers) / total
    shift_y = sum(place.shift[1] * trusted for place, trusted in answers) / total
    scale = sum(place.scale * trusted for place, trusted in answers) / total
    rotation = sum(place.rotation * trusted for place, trusted in answers) / total
    return Similarity((shift_x, shift_y), scale, rotation)
