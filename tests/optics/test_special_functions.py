"""Bessel function and sinc where PyTorch lacks them; a polygon's transform without float64."""

import math

import pytest
import torch

from bokehdepth_core.optics.polygon import polygon_transform
from bokehdepth_core.optics.special import jinc, jinc_by_polynomials, sine_quotient


def by_integral(k, points=4000):
    """2 J1(k)/k as Poisson's integral, (4/π) ∫₀¹ √(1−t²) cos(kt) dt, with t = sin φ."""
    phi = (torch.arange(points, dtype=torch.float64) + 0.5) * (math.pi / 2 / points)
    return (
        (4 / math.pi) * (phi.cos() ** 2 * torch.cos(k[:, None] * phi.sin())).mean(1) * math.pi / 2
    )


def test_the_polynomials_are_within_their_stated_error():
    k = torch.cat([torch.linspace(0, 12, 500), torch.linspace(12, 900, 500)]).double()
    # 9.4.6 errs by 4e-8 in amplitude and 9e-8 in phase; at 3 these are divided by 3^1.5, times 2.
    assert (jinc_by_polynomials(k) - by_integral(k)).abs().max() < 5e-8


def test_single_precision_costs_a_few_roundings():
    k = torch.cat([torch.linspace(0, 12, 20001), torch.logspace(1, 3.5, 20001)])
    error = (jinc_by_polynomials(k).double() - jinc(k.double())).abs()
    assert error.max() < 4e-7  # PyTorch's own is 2e-7 off at 5, in any precision
    assert jinc_by_polynomials(torch.zeros(1)) == 1


def test_sine_quotient_is_torch_s_sinc():
    x = torch.tensor([0.0, 1e-9, 1e-3, 0.5, 7.0], dtype=torch.float64)
    torch.testing.assert_close(sine_quotient(math.pi * x), torch.sinc(x), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("blades", [3, 5, 6, 11])
def test_a_polygon_in_single_precision_is_that_in_double(blades):
    k = torch.cat([-torch.logspace(-4, 2, 60).flip(0), torch.zeros(1), torch.logspace(-4, 2, 60)])
    single = polygon_transform(k, k, blades, 20.0)
    double = polygon_transform(k.double(), k.double(), blades, 20.0)
    # Rounding over |k| where the series ends, 1.2e-7·3/0.045, and |k|³/60 of what it leaves out.
    assert (single - double).abs().max() < 1e-5
