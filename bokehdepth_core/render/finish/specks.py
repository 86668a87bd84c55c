"""Specks beside depth edges: pixels that stand alone in the result, and did not in the photo.

Which side of an edge a pixel belongs to, and how much of the other it holds, is decided for each
pixel. Where the depth lies beside the photo's edge the decisions change from pixel to pixel, and a
sharp edge gets a dotted rim. So no pixel there may stand out of the median of its 3 x 3 px by more
than it did in the photo, or than `ALLOWED`. Noise and detail in focus may also be what they are in
the photo: beside a blurred surface they may stand out by more than they did.
"""

import torch
from torch import Tensor

from ...color import linear_to_srgb, srgb_to_linear
from ..scene.discontinuities import EDGE_STEP, largest_within
from ..scene.inpaint import median_of_nine
from ..slices.compositing import SHARP_RADIUS

ALLOWED = 24 / 255  # sRGB; fainter specks are hardly seen, and a lens leaves some
DETAIL = 30 / 255  # sRGB; what is in focus and stands out by more in the photo may stay as it is
BESIDE = 3  # px from a depth edge within which specks are looked for
COLORS = 3  # channels; a fourth is coverage
COVERED = 0.999
MIDDLE = 4  # of nine
LEAST_STANDING_OUT = ALLOWED / 13  # linear light; sRGB rises at most 12.92 times as fast
PASSES = 2  # over the picture: two specks beside each other hide one another


def without_specks(light: Tensor, photo: Tensor, defocus: Tensor) -> Tensor:
    """Return the picture without specks beside depth edges, [C,H,W], linear light.

    Of a cut-out, whose fourth channel is coverage, only pixels covered in full are looked at.

    Args:
        light: [C,H,W], linear light through the lens.
        photo: [C,H,W], linear light of the photo.
        defocus: [H,W], px, front positive.

    Example:
        >>> defocus = torch.tensor([[0.0, 0.0, 0.0, 9.0, 9.0, 9.0]]).expand(5, -1)
        >>> grey = torch.full((3, 5, 6), 0.5)
        >>> speck = grey.clone()
        >>> speck[:, 2, 2] = 1.0
        >>> bool((without_specks(speck, grey, defocus) < 0.7).all())
        True
        >>> torch.equal(without_specks(speck, speck, defocus), speck)
        True
    """
    step = largest_within(defocus, 1) + largest_within(-defocus, 1)
    there = largest_within(step > EDGE_STEP, BESIDE - 1)
    if len(light) > COLORS:
        there &= light[COLORS] >= COVERED
    row, column = there.nonzero(as_tuple=True)
    if not len(row):
        return light
    out, sharp = light.clone(), defocus[row, column].abs() < SHARP_RADIUS
    around = _around(row, column, (defocus.shape[0], defocus.shape[1]))
    for before, after in zip(photo[:COLORS], out[:COLORS], strict=True):  # one by one, for memory
        _calm(before.flatten(), after.view(-1), around, sharp)
    return out


def _calm(before: Tensor, after: Tensor, around: list[Tensor], sharp: Tensor) -> None:
    """Take the specks out of one channel of a picture.

    Args:
        before: [H·W], linear light of the photo.
        after: [H·W], linear light through the lens, written into.
        around: flat indices, [N] each, of the 3 x 3 px around the pixels looked at.
        sharp: [N], bool, where they are in focus.
    """
    for _ in range(PASSES):
        values = [after[there] for there in around]
        own = values[MIDDLE]
        standing = ((own - median_of_nine(values)).abs() > LEAST_STANDING_OUT).nonzero()[:, 0]
        if not len(standing):
            return
        square = [there[standing] for there in around]
        own, median = _beside_median(after, square)
        given, usual = _beside_median(before, square)
        allowed = (given - usual).abs_()
        kept = sharp[standing] & (allowed > DETAIL)
        allowed.clamp_(min=ALLOWED)
        least, most = median - allowed, median + allowed
        least = torch.where(kept, torch.minimum(least, given), least)
        most = torch.where(kept, torch.maximum(most, given), most)
        calm = torch.minimum(torch.maximum(own, least), most)
        changed = calm != own
        pixel = square[MIDDLE][changed]
        after[pixel] = srgb_to_linear(calm[changed])
        # The next time only what lies beside a change may be another.
        touched = torch.zeros_like(after, dtype=torch.bool)
        touched[pixel] = True
        again = torch.stack([touched[there] for there in around]).any(0).nonzero()[:, 0]
        around, sharp = [there[again] for there in around], sharp[again]


def _around(row: Tensor, column: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Return the flat indices of the 3 x 3 px around N pixels of a picture, [N] each."""
    rows = [(row + step).clamp(0, size[0] - 1) * size[1] for step in (-1, 0, 1)]
    columns = [(column + step).clamp(0, size[1] - 1) for step in (-1, 0, 1)]
    return [down + right for down in rows for right in columns]


def _beside_median(plane: Tensor, around: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return N pixels of a plane [H·W], and the medians of 3 x 3 px around them, sRGB, [N] each."""
    values = [plane[there] for there in around]
    # The median of light is that of sRGB, which rises with it.
    return linear_to_srgb(values[MIDDLE]), linear_to_srgb(median_of_nine(values))
