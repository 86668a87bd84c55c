"""Masks that come with a picture: which part of it is there, and which is not to be blurred.

In go masks [B,H,W], 0…1, of users; out come checked masks, and planes in which pixels that do not
count have the value of the nearest one that does: out(p) = in(q), q the pixel that counts nearest
to p. A cut-out (alpha) needs that for its depth, since nothing stands where it is transparent. A
hold-out needs it for its picture and its depth: what is around goes on behind the held-out region,
which is put back after the blur.
"""

import torch
from torch import Tensor

from ...checks import check_shape

SOLID = 0.5  # alpha from which on a pixel's own depth counts
EMPTY = 0.02  # alpha below which it never does; between, only away from what is solid
BORDER = 3  # px: as far as the soft edge of a cut-out reaches


def check_mask(mask: Tensor | None, image: Tensor, name: str) -> Tensor | None:
    """Return a mask as [B,H,W], 0…1, float32, beside an image [B,H,W,3]; None stays None.

    Raises:
        TypeError: not a tensor.
        ValueError: another size or number, or NaN.
    """
    if mask is None:
        return None
    check_shape(mask, name, "B H W")
    batch, height, width = image.shape[:3]
    if tuple(mask.shape[1:]) != (height, width) or len(mask) not in (1, batch):
        raise ValueError(
            f"{name}: expected {[batch, height, width]} like the image, found {list(mask.shape)}. "
            "Resample it to the picture first."
        )
    if torch.isnan(mask).any():
        raise ValueError(f"{name}: holds NaN. Give shares from 0 to 1.")
    return mask.to(image.device, torch.float32).clamp(0, 1).expand(batch, -1, -1)


def solid_pixels(alpha: Tensor) -> Tensor:
    """Return [H,W] bool: the pixels whose own depth counts, of alpha [H,W].

    Example:
        >>> solid_pixels(torch.tensor([[1.0, 0.3, 0.0, 0.0, 0.0, 0.3]]))[0].tolist()
        [True, False, False, False, False, True]
    """
    solid = alpha >= SOLID
    side = 2 * BORDER + 1
    beside = torch.nn.functional.max_pool2d(solid[None].float(), side, 1, BORDER)[0] > 0
    return solid | ((alpha >= EMPTY) & ~beside)


def extended(planes: Tensor, there: Tensor) -> Tensor:
    """Return planes [...,H,W] in which every other pixel takes the value of the nearest one there.

    Args:
        planes: any values.
        there: [H,W] bool; where none is, the planes stay as they are.

    Example:
        >>> there = torch.tensor([[True, False, False, True]])
        >>> extended(torch.tensor([[1.0, 9.0, 9.0, 2.0]]), there)
        tensor([[1., 1., 2., 2.]])
    """
    if there.all() or not there.any():
        return planes
    row, column = _nearest(there)
    return planes[..., row, column]


def _nearest(there: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column [H,W] of the nearest pixel that is there.

    Reference:
        Rong and Tan, "Jump Flooding in GPU", I3D 2006.
    """
    height, width = there.shape
    rows = torch.arange(height, device=there.device)[:, None].expand(height, width)
    columns = torch.arange(width, device=there.device).expand(height, width)
    row, column = rows.clone(), columns.clone()
    never = 4 * (height + width) ** 2
    distance = torch.where(there, 0, never)
    step = 1 << max(height, width).bit_length()
    while step > 1:
        step //= 2
        for dy in (-step, 0, step):
            for dx in (-step, 0, step):
                if (dy or dx) and abs(dy) < height and abs(dx) < width:
                    y, x = (rows + dy).clamp(0, height - 1), (columns + dx).clamp(0, width - 1)
                    known = distance[y, x] < never
                    found_row, found_column = row[y, x], column[y, x]
                    far = (found_row - rows) ** 2 + (found_column - columns) ** 2
                    closer = known & (far < distance)
                    row = torch.where(closer, found_row, row)
                    column = torch.where(closer, found_column, column)
                    distance = torch.where(closer, far, distance)
    return row, column
