"""Depth of a portrait guessed from the photo alone: people are found, then staged as cut-outs.

The people stand upright on a ground before a far wall, as `depth_from_mask` has it. Good enough for
the blur behind a portrait; any depth map is better, and the report says so.
"""

from dataclasses import replace

from torch import Tensor

from ...callbacks import CheckCancelled, never_cancelled
from ..from_mask import CHOSEN, MaskDepth, depth_from_mask
from .find import find_people

LEAST_SHARE = 0.004  # of the photo that people take at least; less is taken for a mistake
NOBODY = (
    "depth: none given, and no person found to guess it. Give a depth map, or a mask of the "
    "subject. Only people within about 2 m of the camera are found for sure."
)
REPORT = (
    "Depth is a rough guess from people found in the photo: upright, on a ground before a far "
    "wall; no metres. Better: a depth map, from Depth Anything 3, MoGe or the phone."
)


def guess_portrait_depth(
    image: Tensor,
    *,
    ground: bool = True,
    separation: float = 0.8,
    check_cancelled: CheckCancelled = never_cancelled,
) -> MaskDepth:
    """Return relative depth of photos of people, found in them without any download.

    Args:
        image: [B,H,W,3], sRGB, 0…1.
        ground: whether a ground plane leads past the people's feet to the wall.
        separation: 0…1, how far behind the people the wall stands.
        check_cancelled: raises to stop.

    Raises:
        TypeError: a picture that is not floating point.
        ValueError: no person in any picture, another shape, or a separation outside 0…1.

    Reference:
        `find_people` and `depth_from_mask` name theirs.

    Example:
        >>> import torch
        >>> try:
        ...     guess_portrait_depth(torch.full((1, 40, 30, 3), 0.5))  # a grey wall
        ... except ValueError as error:
        ...     print(str(error)[:48])
        depth: none given, and no person found to guess
    """
    people = find_people(image, check_cancelled=check_cancelled)
    few = (people >= CHOSEN).float().mean((1, 2)) < LEAST_SHARE
    if bool(few.all()):
        raise ValueError(NOBODY)
    people[few] = 0
    found = depth_from_mask(
        image, people, ground=ground, separation=separation, check_cancelled=check_cancelled
    )
    without = [str(index + 1) for index in few.nonzero()[:, 0].tolist()]
    missed = f" Nobody found in picture {', '.join(without)} of {len(image)}." if without else ""
    return replace(found, report=REPORT + missed)
