"""Colour: the sRGB transfer curve."""

import torch
from torch import Tensor


def srgb_to_linear(image: Tensor) -> Tensor:
    """Return linear light from sRGB-encoded values, any shape; 1 stays 1.

    The curve is continued above 1 for high-dynamic-range values.

    Reference:
        IEC 61966-2-1: c / 12.92 up to 0.04045, else ((c + 0.055) / 1.055)^2.4.
    """
    curve = ((image.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(image <= 0.04045, image / 12.92, curve)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Return sRGB-encoded values from linear light, any shape; the inverse of `srgb_to_linear`.

    Reference:
        IEC 61966-2-1: 12.92 c up to 0.0031308, else 1.055 c^(1/2.4) − 0.055.
    """
    curve = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)
