"""Finds by how much a frame differs in exposure, white balance, tone curve and vignetting.

The frame is compared with the reference, blurred as the frame is, so that only brightness and
colour are left to explain.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...color import linear_to_srgb, srgb_to_linear

TONE_WAVES = (1, 2, 3)  # sin(πkv) of encoded value v: curves that keep black and white
ITERATIONS = 5
CLIPPED = 0.97  # sRGB; what is brighter may be cut off
DARK = 0.02  # sRGB; what is darker tells nothing
PRIOR = 1e-3  # of the normal matrix: keeps what the picture does not tell at none
SAMPLES = 40_000
NOTICED = 1.0 / 255  # sRGB; smaller corrections are left alone


@dataclass(frozen=True)
class Photometry:
    """What turns a frame into the reference's light.

    sRGB values v of the frame become v + Σ tone_k sin(πkv); their linear light is then multiplied
    by exp(gain_c + falloff_1 r² + falloff_2 r⁴), r = 1 in the corners.

    Attributes:
        gains: logarithm, of red, green and blue.
        falloff: of the terms r² and r⁴; above zero brightens the corners.
        tone: of sin(πv), sin(2πv) and sin(3πv), sRGB.
    """

    gains: tuple[float, float, float] = (0.0, 0.0, 0.0)
    falloff: tuple[float, float] = (0.0, 0.0)
    tone: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def exposure(self) -> float:
        """How much brighter the frame is made, as a factor."""
        return math.exp(sum(self.gains) / 3)

    @property
    def corner(self) -> float:
        """How much brighter the corners are made than the middle, as a factor."""
        return math.exp(sum(self.falloff))

    def apply(self, image: Tensor) -> Tensor:
        """Return a picture [H,W,3], sRGB, in the reference's light, 0…1.

        Example:
            >>> Photometry(gains=(0.1, 0.1, 0.1)).apply(torch.zeros(2, 2, 3)).sum().item()
            0.0
        """
        radius = squared_radius((image.shape[0], image.shape[1]), image.device)[..., None]
        return _curve(self._values().to(image), image, radius).clamp(0, 1)

    def _values(self) -> Tensor:
        return torch.tensor([*self.gains, *self.falloff, *self.tone])


def squared_radius(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return r², [H,W]: 0 in the middle of the picture, 1 in its corners."""
    y = (torch.arange(size[0], device=device) - (size[0] - 1) / 2)[:, None]
    x = torch.arange(size[1], device=device) - (size[1] - 1) / 2
    return (y.square() + x.square()) / max(float(y[0]) ** 2 + float(x[0]) ** 2, 1.0)


def fit_photometry(
    frame: Tensor, target: Tensor, radius: Tensor, weight: Tensor
) -> tuple[Photometry, float, float]:
    """Return what makes the frame's light that of the target, and the error before and after.

    Gauss-Newton with weights 1 / (1 + (e / 2σ)²) against outliers.

    Args:
        frame: [P,3], sRGB.
        target: [P,3], sRGB.
        radius: [P], r², 0…1.
        weight: [P], 0…1.
    """
    step = max(1, len(frame) // SAMPLES)
    frame, target = (one[::step].cpu().double() for one in (frame, target))
    radius, weight = (one[::step].cpu().double()[:, None] for one in (radius, weight))
    usable = (frame < CLIPPED) & (target < CLIPPED) & (frame > DARK) & (target > DARK)
    weight = weight * usable
    values = torch.zeros(8, dtype=torch.float64)
    before = _error(frame, target, weight)
    if float(weight.sum()) < 100:
        return Photometry(), before, before
    for _ in range(ITERATIONS):
        error = _curve(values, frame, radius) - target
        slopes = _slopes(values, frame, radius)
        spread = 2 * 1.4826 * error[weight > 0.1].abs().median() + 1e-4
        robust = weight / (1 + (error / spread).square())
        normal = torch.einsum("pci,pcj,pc->ij", slopes, slopes, robust)
        pull = torch.einsum("pci,pc,pc->i", slopes, error, robust)
        stiff = PRIOR * normal.diagonal().mean() * torch.eye(8, dtype=torch.float64)
        values = values - torch.linalg.solve(normal + stiff, pull + stiff @ values)
    red, green, blue, square, fourth, *tone = values.tolist()
    found = Photometry((red, green, blue), (square, fourth), (tone[0], tone[1], tone[2]))
    return found, before, _error(_curve(values, frame, radius), target, weight)


def _error(frame: Tensor, target: Tensor, weight: Tensor) -> float:
    """Return the mean absolute difference, sRGB, without outliers."""
    difference = (frame - target).abs().clamp(max=0.1)
    return float((difference * weight).sum() / weight.sum().clamp(min=1e-9))


def _curve(values: Tensor, image: Tensor, radius: Tensor) -> Tensor:
    """Return sRGB [...,3] corrected by the eight values; `radius` is r², [...,1]."""
    toned = image
    for wave, amount in zip(TONE_WAVES, values[5:], strict=True):
        toned = toned + amount * torch.sin(math.pi * wave * image)
    exponent = values[:3] + values[3] * radius + values[4] * radius.square()
    return linear_to_srgb(srgb_to_linear(toned.clamp(min=0)) * exponent.exp())


def _slopes(values: Tensor, image: Tensor, radius: Tensor) -> Tensor:
    """Return the derivatives of `_curve` by the eight values, [P,3,8], by small differences."""
    here = _curve(values, image, radius)
    columns = []
    for index in range(len(values)):
        moved = values.clone()
        moved[index] += 1e-4
        columns.append((_curve(moved, image, radius) - here) / 1e-4)
    return torch.stack(columns, -1)
