"""The transform of a polygon, against the sum over its edges frequency by frequency."""

import math
from itertools import pairwise

import pytest
import torch

from bokehdepth_core import Aperture
from bokehdepth_core.optics.polygon import mirrors_rows, polygon_transform
from bokehdepth_core.optics.psf import LensBlur


def plain_transform(ky, kx, blades, rotation):
    """Lee and Mittra's sum over edges, in complex numbers, float64."""
    angles = [math.radians(rotation) + 2 * math.pi * i / blades for i in range(blades + 1)]
    corners = [(math.cos(angle), math.sin(angle)) for angle in angles]
    square = ky[:, None] ** 2 + kx**2
    total = torch.zeros_like(square, dtype=torch.complex128)
    for (x0, y0), (x1, y1) in pairwise(corners):
        dx, dy, mid_x, mid_y = x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2
        along = (ky[:, None] * dy + kx * dx) / 2
        phase = torch.exp(-1j * (ky[:, None] * mid_y + kx * mid_x))
        total += (kx * dy - ky[:, None] * dx) * torch.sinc(along / math.pi) * phase
    area = blades / 2 * math.sin(2 * math.pi / blades)
    return torch.where(square == 0, 1.0, 1j * total / (square.clamp(min=1e-30) * area))


@pytest.mark.parametrize("blades", range(3, 12))
@pytest.mark.parametrize("rotation", [0.0, 10.0, 45.0, -22.5])
def test_it_is_the_sum_over_edges(blades, rotation):
    ky = torch.fft.fftfreq(150, dtype=torch.float64) * 2 * math.pi * 14.0
    kx = torch.fft.rfftfreq(136, dtype=torch.float64) * 2 * math.pi * 14.0
    found = polygon_transform(ky, kx, blades, rotation)
    wanted = plain_transform(ky, kx, blades, rotation)
    assert float((found - wanted).abs().max()) < 1.2e-7  # float32


def test_mirrored_rows_are_taken_from_those_of_the_other_half():
    for blades in (5, 6):
        whole = [
            LensBlur((31, 44), 5, Aperture(blades, rotation), torch.device("cpu"))
            for rotation in (0.0, 360.0 / blades + 1e-9)
        ]
        one, other = (blur.transfer_function(-3.0) for blur in whole)
        assert float((one - other).abs().max()) < 1e-6
    assert mirrors_rows(5, 36.0)
    assert not mirrors_rows(5, 35.0)
