"""Pictures at sizes that the tokens of FLUX fill, and back."""

import numpy as np
import torch
from torch import Tensor

from ...devices import interpolate

SIDE = 16  # px: one token of FLUX is 2x2 latents of 8x8 px


def fit_to_tokens(image: Tensor) -> Tensor:
    """Return [h,w,3] at the next smaller multiples of 16 px, by Lanczos in 8 bits as published.

    Args:
        image: [H,W,3], sRGB, 0…1.

    Raises:
        ValueError: a side shorter than 16 px.

    Example:
        >>> fit_to_tokens(torch.rand(50, 70, 3)).shape
        torch.Size([48, 64, 3])
    """
    height, width = (side // SIDE * SIDE for side in image.shape[:2])
    if not height or not width:
        raise ValueError(
            f"image: {image.shape[0]}x{image.shape[1]} px is too small. "
            f"Both sides need at least {SIDE} px."
        )
    from PIL import Image

    codes = (image.detach().float().clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy()
    picture = Image.fromarray(codes)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).float() / 255


def resized(frames: Tensor, height: int, width: int) -> Tensor:
    """Return [B,H,W,3] frames at another size, 0…1.

    Example:
        >>> resized(torch.rand(2, 48, 64, 3), 50, 70).shape
        torch.Size([2, 50, 70, 3])
    """
    if frames.shape[1:3] == (height, width):
        return frames
    planes = interpolate(frames.movedim(-1, 1), (height, width), mode="bicubic", antialias=True)
    return planes.clamp(0, 1).movedim(1, -1)
