"""360° panoramas: pictures whose left and right border join.

To the left of the first column such a picture goes on with its last one. So a step that looks
around a pixel gets more columns at either side, those of the other end, and of what it returns the
picture's own columns are kept. The blur itself has no border at the joint: it runs over one turn.
"""

import torch
from torch import Tensor

from ..optics.aperture import Aperture
from ..optics.focus.controls import FocusControls

JOINT_STANDS_OUT = 3.0  # times the difference of other neighbouring columns
_JOINT_VISIBLE = 0.02  # sRGB, 5 of 255: a difference of columns that cannot be seen is none
_RATIO = 2.0  # width over height of all directions there are
_NEARLY = 0.01


def with_other_end(planes: Tensor, columns: int) -> Tensor:
    """Return planes [...,W] with columns of the other end at either side, [...,W + 2 columns].

    Example:
        >>> with_other_end(torch.tensor([1, 2, 3]), 2)
        tensor([2, 3, 1, 2, 3, 1, 2])
    """
    if not columns:
        return planes
    width = planes.shape[-1]
    at = torch.arange(-columns, width + columns, device=planes.device).remainder(width)
    return planes.index_select(-1, at)


def own_columns(planes: Tensor, columns: int) -> Tensor:
    """Return planes [...,W] of planes that `with_other_end` made wider.

    Example:
        >>> own_columns(with_other_end(torch.tensor([1, 2, 3]), 2), 2)
        tensor([1, 2, 3])
    """
    return planes[..., columns : planes.shape[-1] - columns]


def turned_part(plane: Tensor, place: tuple[slice, slice]) -> Tensor:
    """Return rows and columns of a plane [H,W,...]; columns outside of it come round again.

    Example:
        >>> turned_part(torch.tensor([[1, 2, 3]]), (slice(0, 1), slice(-1, 4)))
        tensor([[3, 1, 2, 3, 1]])
    """
    rows, columns = place
    width = plane.shape[1]
    if columns.start >= 0 and columns.stop <= width:
        return plane[place]
    at = torch.arange(columns.start, columns.stop, device=plane.device).remainder(width)
    return plane[rows].index_select(1, at)


def check_panorama(aperture: Aperture, controls: FocusControls) -> None:
    """Check that nothing is set that a picture without a middle cannot have.

    Raises:
        ValueError: a turned plane of focus, or a blur that changes towards the picture's corners.

    Example:
        >>> check_panorama(Aperture(cat_eye=0.5), FocusControls())
        Traceback (most recent call last):
            ...
        ValueError: cat_eye: use 0, or turn wrap off: a 360° panorama has no corners. 0.5 is set.
    """
    without_corners = "a 360° panorama has no corners"
    without_front = "a 360° panorama looks in all directions"
    for source, name, reason in (
        (aperture, "cat_eye", without_corners),
        (aperture, "swirl", without_corners),
        (controls, "tilt", without_front),
        (controls, "swing", without_front),
    ):
        value = getattr(source, name)
        if value:
            raise ValueError(f"{name}: use 0, or turn wrap off: {reason}. {value:g} is set.")


def panorama_doubts(image: Tensor) -> str:
    """Return what speaks against pictures being 360° panoramas, in a sentence each; "" if nothing.

    Args:
        image: [B,H,W,3], sRGB.

    Example:
        >>> panorama_doubts(torch.full((1, 32, 64, 3), 0.5))
        ''
        >>> panorama_doubts(torch.full((1, 32, 48, 3), 0.5))
        'wrap: crop nothing off a full panorama, which is 2:1; this one is 48x32 px.'
    """
    height, width = image.shape[1:3]
    said = []
    if abs(width / height / _RATIO - 1) > _NEARLY:
        said.append(
            f"wrap: crop nothing off a full panorama, which is 2:1; this one is {width}x{height} "
            "px."
        )
    steps = (image.roll(-1, 2) - image).float().abs().mean((0, 1, 3))
    joint, others = float(steps[-1]), float(steps[:-1].median()) if width > 1 else 0.0
    if joint > max(_JOINT_VISIBLE, JOINT_STANDS_OUT * others):
        said.append(
            f"wrap: turn it off if this is no 360° panorama: its first and last columns differ by "
            f"{255 * joint:.0f} of 255 on average, other neighbours by {255 * others:.0f}."
        )
    return " ".join(said)
