"""From a picture to a network's input and back, the way back exact.

An input transform pads and resizes a picture to `input_size`. Depth and confidence return through
its inverse `restore`, intrinsics through `camera_to_input` and `camera_to_picture`.
"""

import logging
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...checks import check_number
from ...devices import interpolate

PATCH = 14
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DEPTH_ANYTHING_SIDE = 518  # shorter side in training, px
UNIDEPTH_RATIOS = (0.5, 2.5)  # width over height
UNIDEPTH_PIXELS = (200_000, 600_000)
LEVELS = 10
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputTransform:
    """How a picture becomes a network's input.

    Attributes:
        size: (height, width) of the picture, px.
        padding: (left, right, top, bottom), px of the picture.
        input_size: (height, width) of the network's input, px, multiples of 14.
        nominal_scale: the factor before sides were rounded up to whole patches.
        bicubic: resize bicubically and return with aligned corners; else bilinear, not aligned.
    """

    size: tuple[int, int]
    padding: tuple[int, int, int, int]
    input_size: tuple[int, int]
    nominal_scale: float
    bicubic: bool

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) after padding, px."""
        left, right, top, bottom = self.padding
        return self.size[0] + top + bottom, self.size[1] + left + right

    @property
    def scale(self) -> tuple[float, float]:
        """(vertical, horizontal) factor from padded picture to network input."""
        height, width = self.padded
        return self.input_size[0] / height, self.input_size[1] / width

    def to_input(self, pictures: Tensor) -> Tensor:
        """Return [N,3,h,w], normalised, from pictures [N,H,W,3], sRGB, 0…1; padding is grey."""
        mean, std = (pictures.new_tensor(values) for values in (IMAGENET_MEAN, IMAGENET_STD))
        pixels = ((pictures - mean) / std).movedim(-1, 1)
        if any(self.padding):
            pixels = F.pad(pixels, self.padding)  # zero is the mean colour
        if self.input_size == self.padded:
            return pixels
        mode = "bicubic" if self.bicubic else "bilinear"
        return interpolate(pixels, self.input_size, mode=mode)

    def restore(self, maps: Tensor) -> Tensor:
        """Return maps [B,H,W] of the picture from maps [B,h,w] of `input_size`: the inverse."""
        if self.padded != self.input_size:
            maps = F.interpolate(
                maps[:, None], self.padded, mode="bilinear", align_corners=self.bicubic
            )[:, 0]
        left, _, top, _ = self.padding
        return maps[:, top : top + self.size[0], left : left + self.size[1]]

    def camera_to_input(self, intrinsics: Tensor, *, nominal: bool = False) -> Tensor:
        """Return intrinsics [B,3,3] in px of the network's input.

        Args:
            intrinsics: [B,3,3], px of the picture.
            nominal: use one factor for both axes, as the reference does, and not the true ones.
        """
        return self._rows(nominal).to(intrinsics) @ self._shift(1).to(intrinsics) @ intrinsics

    def camera_to_picture(self, intrinsics: Tensor, *, nominal: bool = False) -> Tensor:
        """Return intrinsics [B,3,3] in px of the picture; undoes `camera_to_input`."""
        rows = self._rows(nominal).to(intrinsics)
        return self._shift(-1).to(intrinsics) @ (intrinsics / rows.diagonal()[:, None])

    def _rows(self, nominal: bool) -> Tensor:
        vertical, horizontal = (self.nominal_scale,) * 2 if nominal else self.scale
        return torch.diag(torch.tensor([horizontal, vertical, 1.0], dtype=torch.float64))

    def _shift(self, sign: int) -> Tensor:
        left, _, top, _ = self.padding
        shift = torch.eye(3, dtype=torch.float64)
        shift[0, 2], shift[1, 2] = sign * left, sign * top
        return shift


def depth_anything_side(resolution: int | None) -> int:
    """Return the shorter side of Depth Anything's input, px.

    Args:
        resolution: 0…9 for 238 to 868 px, 4 is 518; None for the 518 px of training.

    Raises:
        ValueError: another level.
    """
    level = _level(resolution)
    return DEPTH_ANYTHING_SIDE if level is None else PATCH * (17 + 5 * level)


def depth_anything_transform(
    height: int, width: int, side: int = DEPTH_ANYTHING_SIDE, most_patches: int | None = None
) -> InputTransform:
    """Return how Depth Anything takes a picture: shorter side to `side`, px, whole patches.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        side: of the network's input, px.
        most_patches: of the network's input; a long strip gets a smaller side, as far as that goes.
    """
    scale = max(side / height, side / width)

    def patches(length: int) -> int:
        rounded = round(scale * length / PATCH) * PATCH
        return rounded if rounded >= side else math.ceil(scale * length / PATCH) * PATCH

    input_size = (patches(height), patches(width))
    count = input_size[0] * input_size[1] // PATCH**2
    if most_patches is not None and count > most_patches and side > PATCH:
        _LOG.info("image: %dx%d is taken with a shorter side below %d px.", height, width, side)
        fitting = int(side * math.sqrt(most_patches / count)) // PATCH * PATCH
        smaller = max(PATCH, min(fitting, side - PATCH))
        return depth_anything_transform(height, width, smaller, most_patches)
    return InputTransform((height, width), (0, 0, 0, 0), input_size, scale, bicubic=True)


def unidepth_pixels(resolution: int | None) -> tuple[float, float]:
    """Return the fewest and most pixels of UniDepth's input.

    Args:
        resolution: 0…9 picks a tenth of the trained range; None leaves all of it.

    Raises:
        ValueError: another level.
    """
    low, high = UNIDEPTH_PIXELS
    level = _level(resolution)
    if level is None:
        return low, high
    step = (high - low) / LEVELS
    return low + level * step, low + (level + 1) * step


def unidepth_transform(
    height: int, width: int, pixels: tuple[float, float] = UNIDEPTH_PIXELS
) -> InputTransform:
    """Return how UniDepth takes a picture: padded to a usual aspect ratio, then resized.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        pixels: fewest and most pixels of the input before rounding up to whole patches.
    """
    low, high = UNIDEPTH_RATIOS
    padded_height, padded_width = height, width
    if width / height < low:
        padded_width = max(width, int(height * low))
    elif width / height > high:
        padded_height = max(height, int(width / high))
    left, top = (padded_width - width) // 2, (padded_height - height) // 2
    padding = (left, padded_width - width - left, top, padded_height - height - top)
    count = padded_height * padded_width
    factor = 1.0
    if count > pixels[1]:
        factor = math.sqrt(pixels[1] / count)
    elif count < pixels[0]:
        factor = math.sqrt(pixels[0] / count)
    input_size = tuple(
        max(PATCH, math.ceil(int(side * factor) / PATCH) * PATCH)
        for side in (padded_height, padded_width)
    )
    return InputTransform(
        (height, width), padding, (input_size[0], input_size[1]), factor, bicubic=False
    )


def _level(resolution: int | None) -> int | None:
    if resolution is None or resolution == -1:
        return None
    hint = "Use 0 (fast) to 9 (fine), or -1 for automatic."
    level = check_number(resolution, "resolution", 0, LEVELS - 1, hint=hint)
    if level != int(level) or isinstance(resolution, bool):
        raise ValueError(f"resolution: expected a whole number, found {resolution}. {hint}")
    return int(level)
