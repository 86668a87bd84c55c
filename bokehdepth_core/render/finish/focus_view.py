"""A picture that shows where the focus lies: the sharp zone outlined, front and back tinted."""

import torch
from torch import Tensor

from ...checks import check_image, check_shape
from ..panorama import with_other_end

SHARP = 1.0  # px of blur radius that count as sharp: a disc of two pixels' width
FRONT_TINT = (1.0, 0.55, 0.1)  # sRGB, orange
BACK_TINT = (0.15, 0.45, 1.0)  # sRGB, blue
OUTLINE = (0.2, 1.0, 0.3)  # sRGB, green
_STRONGEST = 0.6  # of a tint, where blur is widest
_WEAKEST = 0.25  # where it begins, so that the zone's end is seen


def focus_view(image: Tensor, radius: Tensor, *, wraps: bool = False) -> Tensor:
    """Return pictures with the sharp zone outlined, what is in front orange, what is behind blue.

    Args:
        image: [B,H,W,3], sRGB; clipped to 0…1.
        radius: [B,H,W], px, signed blur radius, front positive.
        wraps: whether left and right border join.

    Raises:
        ValueError: sizes that do not match.

    Example:
        >>> view = focus_view(torch.zeros(1, 1, 3, 3), torch.tensor([[[9.0, 0.0, -9.0]]]))
        >>> [[round(value, 2) for value in pixel] for pixel in view[0, 0].tolist()]
        [[0.6, 0.33, 0.06], [0.2, 1.0, 0.3], [0.09, 0.27, 0.6]]
    """
    size = check_image(image)
    found = check_shape(radius, "radius", "B H W")
    if any(found[name] != size[name] for name in "BHW"):
        raise ValueError(
            f"radius: expected {[size[one] for one in 'BHW']} like the image, found "
            f"{list(radius.shape)}. Resample it to the picture first."
        )
    low, high = radius.aminmax()
    widest = torch.maximum(-low, high).clamp(min=SHARP)
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    for index in range(size["B"]):  # one by one, so that a clip takes no more memory than it is
        out[index] = _view_of_one(image[index], radius[index], widest, wraps)
    return out


def _view_of_one(image: Tensor, radius: Tensor, widest: Tensor, wraps: bool) -> Tensor:
    """Return the view [H,W,3] of one picture; tints are strongest at the radius `widest`, px."""
    share = _WEAKEST + (_STRONGEST - _WEAKEST) * (radius.abs() / widest)
    tint = torch.where(
        (radius > 0)[..., None], image.new_tensor(FRONT_TINT), image.new_tensor(BACK_TINT)
    )
    tinted = torch.lerp(image.clamp(0, 1), tint, share[..., None])
    sharp = radius.abs() <= SHARP
    blurred = torch.nn.functional.pad((~sharp).float()[None], (0, 0, 1, 1))
    blurred = with_other_end(blurred, 1) if wraps else torch.nn.functional.pad(blurred, (1, 1))
    beside = torch.nn.functional.max_pool2d(blurred, 3, 1)[0] > 0
    out = torch.where(sharp[..., None], image.clamp(0, 1), tinted)
    return torch.where((sharp & beside)[..., None], image.new_tensor(OUTLINE), out)
