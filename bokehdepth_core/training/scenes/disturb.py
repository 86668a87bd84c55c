"""What cameras do to frames: noise, tone curves, gain, small misalignment, JPEG."""

import io

import torch
from torch import Tensor
from torch.nn import functional

from ..dice import Dice

LARGEST_SHIFT = 0.7  # px, of one frame against the photo
LARGEST_GAIN = 0.06
LARGEST_NOISE = 0.02  # of the sRGB values


def disturbed(dice: Dice, pictures: Tensor) -> Tensor:
    """Return a photo and its frames as a camera may give them.

    Each disturbance comes or stays away by chance: half of all scenes have any one of them.

    Args:
        dice: decides everything.
        pictures: [F,3,h,w], sRGB, 0…1; the first is the photo.

    Returns:
        Like `pictures`.

    Example:
        >>> disturbed(Dice(0), torch.rand(3, 3, 16, 16)).shape
        torch.Size([3, 3, 16, 16])
    """
    if dice.chance(0.5):
        pictures = _tone(dice, pictures)
    if dice.chance(0.5):
        pictures = _gain(dice, pictures)
    if dice.chance(0.5):
        pictures = _moved(dice, pictures)
    if dice.chance(0.5):
        pictures = _noisy(dice, pictures)
    pictures = pictures.clamp(0, 1)
    return _jpeg(dice, pictures) if dice.chance(0.3) else pictures


def _tone(dice: Dice, pictures: Tensor) -> Tensor:
    """Apply one contrast curve and one gamma to all pictures, as a camera's look does."""
    gamma, contrast = dice.log_uniform(0.75, 1.35), dice.uniform(0, 0.5)
    bent = pictures.clamp(0, 1) ** gamma
    smooth = bent * bent * (3 - 2 * bent)
    return bent + contrast * (smooth - bent)


def _gain(dice: Dice, pictures: Tensor) -> Tensor:
    """Make every frame a little brighter or darker, each colour by itself a little less so."""
    frames = len(pictures) - 1
    each = LARGEST_GAIN * (2 * dice.rand(frames, 1, 1, 1) - 1)
    colour = 0.3 * LARGEST_GAIN * (2 * dice.rand(frames, 3, 1, 1) - 1)
    return torch.cat([pictures[:1], pictures[1:] * (1 + each + colour)])


def _moved(dice: Dice, pictures: Tensor) -> Tensor:
    """Move and scale every frame by less than a pixel or so."""
    frames, (height, width) = len(pictures) - 1, pictures.shape[2:]
    matrix = torch.eye(2, 3).repeat(frames, 1, 1)
    matrix[:, 0, 0] += 0.004 * (2 * dice.rand(frames) - 1)
    matrix[:, 1, 1] = matrix[:, 0, 0]
    shift = LARGEST_SHIFT * (2 * dice.rand(frames, 2) - 1)
    matrix[:, :, 2] = 2 * shift / torch.tensor([width, height])
    grid = functional.affine_grid(matrix, [frames, 3, height, width], align_corners=False)
    moved = functional.grid_sample(
        pictures[1:], grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return torch.cat([pictures[:1], moved])


def _noisy(dice: Dice, pictures: Tensor) -> Tensor:
    """Add noise that is stronger where it is dark, as sRGB shows a sensor's."""
    level = dice.uniform(0, LARGEST_NOISE)
    shaped = level * (1.4 - pictures.clamp(0, 1))
    return pictures + shaped * dice.normal(*pictures.shape)


def _jpeg(dice: Dice, pictures: Tensor) -> Tensor:
    """Encode every picture as JPEG and decode it again."""
    import numpy as np
    from PIL import Image

    quality = dice.integer(70, 97)
    codes = (pictures * 255).round().to(torch.uint8).movedim(1, -1).numpy()
    decoded = []
    for picture in codes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file, formats=["JPEG"])))
    return torch.from_numpy(np.stack(decoded)).movedim(-1, 1).float() / 255
