"""The sRGB curve, against the values of the standard."""

import pytest
import torch

from bokehdepth_core.color import linear_to_srgb, srgb_to_linear


@pytest.mark.parametrize(
    ("encoded", "light"),
    [(0.0, 0.0), (0.04045, 0.04045 / 12.92), (0.5, 0.21404114048223255), (1.0, 1.0)],
)
def test_known_points_of_the_curve(encoded, light):
    value = torch.tensor(encoded, dtype=torch.float64)
    assert srgb_to_linear(value).item() == pytest.approx(light, rel=1e-12)


def test_there_and_back_is_the_identity_in_float64():
    values = torch.linspace(-0.1, 4.0, 9001, dtype=torch.float64)
    # The standard's two constants round: the branches meet only to 3e-8.
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7, rtol=0)


def test_every_8_bit_code_survives_float32():
    codes = torch.arange(256) / 255
    again = (linear_to_srgb(srgb_to_linear(codes)) * 255).round() / 255
    assert torch.equal(again, codes)


def test_the_curve_rises_everywhere():
    light = srgb_to_linear(torch.linspace(-1, 3, 20001, dtype=torch.float64))
    assert (light.diff() > 0).all()
