"""Colour: the sRGB transfer curve, CIE LAB, and colour transfer between pictures."""

import torch
from torch import Tensor

from .devices import exact_float32


def srgb_to_linear(image: Tensor) -> Tensor:
    """Return linear light from sRGB-encoded values, any shape; 1 stays 1.

    The curve is continued above 1 for high-dynamic-range values.

    Args:
        image: any shape, sRGB, 0…1 or above.

    Reference:
        IEC 61966-2-1: c / 12.92 up to 0.04045, else ((c + 0.055) / 1.055)^2.4.

    Example:
        >>> srgb_to_linear(torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.0000, 0.2140, 1.0000])
    """
    curve = image.clamp(min=0.04045).add_(0.055).div_(1.055) ** 2.4
    return torch.where(image <= 0.04045, image / 12.92, curve)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Return sRGB-encoded values from linear light, any shape; the inverse of `srgb_to_linear`.

    Args:
        light: any shape, linear light, 0…1 or above.

    Reference:
        IEC 61966-2-1: 12.92 c up to 0.0031308, else 1.055 c^(1/2.4) − 0.055.

    Example:
        >>> linear_to_srgb(torch.tensor([0.0, 0.2140, 1.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    curve = (light.clamp(min=0.0031308) ** (1 / 2.4)).mul_(1.055).sub_(0.055)
    return torch.where(light <= 0.0031308, light * 12.92, curve)


# Names of what the three numbers of a pixel may be. Blur adds light, so it works in linear light,
# on whichever primaries; only what looks at colours as seen (edges, clipped highlights) needs sRGB.
COLOR_SPACES = ("sRGB", "linear Rec.709", "ACEScg")
# Linear ACEScg (S-2014-004, white near D60) to linear Rec.709 (D65), adapted by Bradford's matrix.
_ACESCG_TO_REC709 = (
    (1.7050509927, -0.6217921207, -0.0832588720),
    (-0.1302564175, 1.1408047366, -0.0105483191),
    (-0.0240033568, -0.1289689761, 1.1529723329),
)


def check_color_space(name: str) -> str:
    """Return the name of a colour space after checking that it is one of `COLOR_SPACES`.

    Raises:
        ValueError: another name.
    """
    if name not in COLOR_SPACES:
        raise ValueError(f"color_space: unknown {name!r}. Use one of {', '.join(COLOR_SPACES)}.")
    return name


def convert_color(image: Tensor, source: str, target: str) -> Tensor:
    """Return pictures [...,3] of one of `COLOR_SPACES` in another; nothing is clipped.

    Example:
        >>> grey = convert_color(torch.full((1, 3), 0.18), "linear Rec.709", "sRGB")
        >>> [round(float(value), 3) for value in grey[0]]
        [0.461, 0.461, 0.461]
    """
    if source == target:
        return image
    light = srgb_to_linear(image) if source == "sRGB" else image
    if "ACEScg" in (source, target):
        matrix = light.new_tensor(_ACESCG_TO_REC709)
        light = light @ (matrix if source == "ACEScg" else torch.linalg.inv(matrix)).T
    return linear_to_srgb(light) if target == "sRGB" else light


_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)  # ITU-R BT.709 primaries, white D65
_WHITE = (0.950456, 1.0, 1.088754)  # D65: the sums of the rows above
_LAB_JOIN = (6 / 29) ** 3
_FLAT = 12**-0.5  # LAB units: a spread that rounding to whole codes makes; below it is no colour


def srgb_to_lab(image: Tensor) -> Tensor:
    """Return CIE L*a*b* of sRGB: L* 0…100, a* and b* about −128…128.

    Args:
        image: [...,3], sRGB, 0…1.

    Reference:
        CIE 15:2004, white point D65.

    Example:
        >>> srgb_to_lab(torch.ones(1, 3)).round(decimals=2).abs()  # white
        tensor([[100.,   0.,   0.]])
    """
    matrix, white = image.new_tensor(_RGB_TO_XYZ), image.new_tensor(_WHITE)
    with exact_float32():
        ratio = srgb_to_linear(image) @ matrix.T / white
    root = ratio.clamp(min=_LAB_JOIN) ** (1 / 3)
    f = torch.where(ratio > _LAB_JOIN, root, ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Return sRGB of CIE L*a*b*, clipped to 0…1; the inverse of `srgb_to_lab`.

    Args:
        lab: [...,3], as from `srgb_to_lab`.

    Reference:
        CIE 15:2004, white point D65.

    Example:
        >>> lab_to_srgb(srgb_to_lab(torch.tensor([0.2, 0.5, 0.8])))
        tensor([0.2000, 0.5000, 0.8000])
    """
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=-1)
    ratio = torch.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    # Inverted on the host: a device would be waited for, to hear whether it can be.
    inverse = torch.linalg.inv(torch.tensor(_RGB_TO_XYZ, dtype=lab.dtype)).to(lab.device)
    with exact_float32():
        light = (ratio * lab.new_tensor(_WHITE)) @ inverse.T
    return linear_to_srgb(light.clamp(0, 1)).clamp(0, 1)


def color_transfer_lab(image: Tensor, reference: Tensor, *, match_spread: bool = True) -> Tensor:
    """Return a picture with the mean and standard deviation of another in each LAB channel.

    Args:
        image: [...,H,W,3], sRGB, 0…1; each picture is matched alone.
        reference: [h,w,3], sRGB, 0…1; gives the colours.
        match_spread: False moves the mean only.

    Returns:
        Like `image`, 0…1.

    Reference:
        Reinhard et al., Color Transfer between Images, IEEE CG&A 2001, in CIE LAB.

    Example:
        >>> grey, photo = torch.full((4, 4, 3), 0.5), torch.rand(4, 4, 3)
        >>> color_transfer_lab(photo, grey).std() < 0.01  # a picture without spread gives none
        tensor(True)
    """
    own, wanted = srgb_to_lab(image.float()), srgb_to_lab(reference.to(image.device).float())
    mean = own.mean(dim=(-3, -2), keepdim=True)
    centred = own - mean
    if match_spread:  # a channel without spread has none to stretch
        spread = own.std(dim=(-3, -2), keepdim=True, correction=0)
        gain = wanted.std(dim=(0, 1), correction=0) / spread.clamp(min=_FLAT)
        centred = centred * torch.where(spread > _FLAT, gain, torch.ones_like(gain))
    matched = centred + wanted.mean(dim=(0, 1))
    lightness = matched[..., :1].clamp(0, 100)  # a darker black would turn into a colour
    return lab_to_srgb(torch.cat([lightness, matched[..., 1:]], dim=-1)).to(image.dtype)
