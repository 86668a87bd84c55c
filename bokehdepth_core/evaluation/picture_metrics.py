"""The usual measures of a picture against the truth: PSNR and SSIM."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..checks import check_image

SSIM_SIGMA = 1.5  # px, of the Gaussian window
SSIM_CONSTANTS = (0.01**2, 0.03**2)  # for values 0…1


def psnr(picture: Tensor, true: Tensor, valid: Tensor | None = None) -> float:
    """Return the peak signal-to-noise ratio, dB, of sRGB pictures; infinite where they are equal.

    Args:
        picture: [H,W,3], sRGB, cut to 0…1.
        true: [H,W,3], sRGB.
        valid: [H,W], bool; pixels that count, None for all.

    Raises:
        ValueError: sizes that do not match, or no pixel that counts.

    Reference:
        −10 log10 of the mean squared difference.

    Example:
        >>> round(psnr(torch.zeros(4, 4, 3), torch.full((4, 4, 3), 0.1)), 1)
        20.0
    """
    one, other, counted = _checked(picture, true, valid)
    error = float((one - other).square().mean(-1)[counted].mean())
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(picture: Tensor, true: Tensor, valid: Tensor | None = None) -> float:
    """Return the structural similarity of sRGB pictures, mean over channels; 1 where equal.

    Arguments are those of `psnr`.

    Raises:
        ValueError: sizes that do not match, or no pixel that counts.

    Reference:
        Wang et al., "Image quality assessment: from error visibility to structural similarity",
        IEEE TIP 2004, Gaussian window of σ = 1.5 px.

    Example:
        >>> photo = torch.rand(16, 16, 3)
        >>> round(ssim(photo, photo), 3)
        1.0
    """
    one, other, counted = _checked(picture, true, valid)
    x, y = (image.permute(2, 0, 1) for image in (one, other))
    moments = _window(torch.cat([x, y, x * x, y * y, x * y]))
    mean_x, mean_y, square_x, square_y, cross = moments.chunk(5)
    small, smaller = SSIM_CONSTANTS[1], SSIM_CONSTANTS[0]
    variance = (square_x - mean_x**2) + (square_y - mean_y**2)
    structure = (2 * (cross - mean_x * mean_y) + small) / (variance + small)
    light = (2 * mean_x * mean_y + smaller) / (mean_x**2 + mean_y**2 + smaller)
    return float((light * structure).mean(0)[counted].mean())


def _checked(picture: Tensor, true: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return both pictures in float64, 0…1, and which pixels count."""
    check_image(picture, "picture", "H W 3")
    check_image(true, "true", "H W 3")
    if picture.shape != true.shape:
        raise ValueError(
            f"picture: expected {list(true.shape)} like the truth, found {list(picture.shape)}."
        )
    counted = torch.ones_like(true[..., 0], dtype=torch.bool) if valid is None else valid
    if not counted.any():
        raise ValueError("valid: no pixel counts. Give another mask.")
    return picture.double().clamp(0, 1), true.double().clamp(0, 1), counted


def _window(planes: Tensor) -> Tensor:
    reach = int(3.5 * SSIM_SIGMA + 0.5)
    taps = torch.arange(-reach, reach + 1, dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-0.5 * (taps / SSIM_SIGMA).square())
    kernel = kernel / kernel.sum()
    padded = functional.pad(planes[:, None], (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None])[:, 0]
