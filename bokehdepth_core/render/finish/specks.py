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
from ..scene.discontinuities import EDGE_STEP, largest_within, pixels_at
from ..slices.compositing import SHARP_RADIUS

ALLOWED = 24 / 255  # sRGB; fainter specks are hardly seen, and a lens leaves some
DETAIL = 30 / 255  # sRGB; what is in focus and stands out by more in the photo may stay as it is
BESIDE = 3  # px from a depth edge within which specks are looked for
COLORS = 3  # channels; a fourth is coverage
COVERED = 0.999
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
    there = largest_within(step, BESIDE - 1) > EDGE_STEP
    if len(light) > COLORS:
        there &= light[COLORS] >= COVERED
    row, column = there.nonzero(as_tuple=True)
    if not len(row):
        return light
    out, sharp = light.clone(), defocus[row, column].abs() < SHARP_RADIUS
    for before, after in zip(photo[:COLORS], out[:COLORS], strict=True):  # one by one, for memory
        given, median = _beside_median(before, row, column)
        allowed = (given - median).abs_()
        kept = sharp & (allowed > DETAIL)
        allowed.clamp_(min=ALLOWED)
        for _ in range(PASSES):
            own, median = _beside_median(after, row, column)
            least, most = median - allowed, median + allowed
            least = torch.where(kept, torch.minimum(least, given), least)
            most = torch.where(kept, torch.maximum(most, given), most)
            calm = torch.minimum(torch.maximum(own, least), most)
            changed = calm != own
            after[row[changed], column[changed]] = srgb_to_linear(calm[changed])
    return out


def _beside_median(plane: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Return N pixels of a plane [H,W], and the medians of 3 x 3 px around them, sRGB, [N] each."""
    around = plane.new_empty(9, len(row))
    for index in range(9):
        there = pixels_at(row + index // 3 - 1, column + index % 3 - 1, plane)
        around[index] = plane[there]
    # The median of light is that of sRGB, which rises with it.
    return linear_to_srgb(around[4]), linear_to_srgb(around.median(0).values)
