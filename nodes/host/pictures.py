"""ComfyUI's IMAGE and MASK tensors made fit for the core: three channels, equal batches."""

import logging

import torch
from torch import Tensor

from ...bokehdepth_core.devices import interpolate

_LOG = logging.getLogger(__name__)


def as_rgb(image: Tensor, name: str = "image") -> Tensor:
    """Return a picture as [B,H,W,3] float32: grey repeated, transparency laid over white.

    Args:
        image: [B,H,W,C], sRGB, 0…1; C is 1, 3 or 4.
        name: of the input, for messages.

    Raises:
        TypeError: not a tensor.
        ValueError: another shape, or an empty batch.
    """
    if not isinstance(image, Tensor):
        raise TypeError(
            f"{name}: expected an IMAGE, found {type(image).__name__}. Connect a picture."
        )
    found = list(image.shape)
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"{name}: expected [B,H,W,3], found {found}. Connect an IMAGE of 1, 3 or 4 channels."
        )
    if 0 in found:
        raise ValueError(f"{name}: is empty, found {found}. Connect at least one picture.")
    image = image.float()
    if image.shape[-1] == 1:
        return image.expand(-1, -1, -1, 3)
    if image.shape[-1] == 4:
        _LOG.info("%s: has transparency; laid over white.", name)
        color, alpha = image[..., :3], image[..., 3:].clamp(0, 1)
        return color * alpha + (1 - alpha)
    return image


def common_batch(**batches: int) -> int:
    """Return the batch size that all inputs share; a batch of one stands for all.

    Raises:
        ValueError: two different sizes above one.
    """
    largest = max(batches.values())
    if any(size not in (1, largest) for size in batches.values()):
        sizes = ", ".join(f"{name} {size}" for name, size in batches.items())
        raise ValueError(
            f"batch: sizes differ ({sizes}). Give one for all pictures, or one for each."
        )
    return largest


def item(batch: Tensor, index: int) -> Tensor:
    """Return one item of a batch, with its batch axis; a batch of one gives the same each time."""
    return batch[:1] if batch.shape[0] == 1 else batch[index : index + 1]


def fit_mask(mask: Tensor, size: tuple[int, int], name: str, mode: str = "nearest-exact") -> Tensor:
    """Return a mask as [B,H,W] at the size of the picture.

    Args:
        mask: [B,h,w] or [h,w], 0…1.
        size: (height, width) of the picture, px.
        name: of the input, for messages.
        mode: of resampling: "nearest-exact" keeps a mask's values, "bilinear" its smooth edge.

    Raises:
        ValueError: another shape, or an empty batch.
    """
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or 0 in mask.shape:
        raise ValueError(f"{name}: expected [B,H,W], found {list(mask.shape)}. Connect a MASK.")
    if tuple(mask.shape[1:]) == size:
        return mask.float()
    _LOG.info("%s: %dx%d made %dx%d like the image.", name, *mask.shape[1:], *size)
    return torch.nn.functional.interpolate(mask[:, None].float(), size, mode=mode)[:, 0]


def fit_picture(image: Tensor, size: tuple[int, int], name: str) -> Tensor:
    """Return [B,H,W,3] pictures resampled to (height, width) px where they differ."""
    if tuple(image.shape[1:3]) == size:
        return image
    _LOG.info("%s: %dx%d made %dx%d like the depth.", name, *image.shape[1:3], *size)
    planes = image.movedim(-1, 1)
    resized = interpolate(planes, size, antialias=True)
    return resized.movedim(1, -1).clamp(0, 1)
