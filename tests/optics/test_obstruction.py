"""A mirror in the middle of the aperture: rings, whose transform is known."""

import math

import pytest
import torch

from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.optics.psf import LensBlur
from bokehdepth_core.optics.special import jinc


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("radius", [3.0, -12.0])
def test_the_transform_is_that_of_a_disc_less_a_smaller_disc(share, radius):
    size = (64, 80)
    blur = LensBlur(size, 14, Aperture(obstruction=share), torch.device("cpu"))
    found = blur.transfer_function(radius)
    fy, fx = blur._frequencies
    k = torch.hypot(fy[:, None], fx) * abs(radius)
    ring = (jinc(k) - share**2 * jinc(share * k)) / (1 - share**2)
    # Drawn masks agree with the closed forms within 0.0005 (docs/render.md); here the light is that
    # of a part of the disc, and so is what the error is measured against.
    assert (found - ring).abs().max() < 0.0005 / (1 - share**2)


def test_a_lamp_becomes_a_ring_and_keeps_its_light():
    lamp = torch.full((1, 65, 65, 3), 0.05)  # so that nothing rings below 0, where it is cut
    lamp[0, 32, 32] += 0.9
    depth = torch.full((1, 65, 65), 4.0)
    out = (
        render_bokeh(
            lamp,
            depth,
            16.0,
            1.0,
            aperture=Aperture(obstruction=0.5),
            color_space="linear Rec.709",
        )[0, ..., 0].double()
        - 0.05
    )
    # float32 rounds each of the 4225 pixels by 4e-9.
    assert float(out.sum()) == pytest.approx(0.9, abs=1e-4)
    even = 0.9 / (math.pi * 12**2 * (1 - 0.5**2))
    assert float(out[32, 32]) < 0.1 * even
    assert float(out[32, 32 + 9]) == pytest.approx(even, rel=0.1)


@pytest.mark.parametrize("value", [-0.1, 0.95, math.nan])
def test_a_bad_obstruction_is_told(value):
    with pytest.raises(ValueError, match=r"^obstruction: [^\n]+$"):
        Aperture(obstruction=value)
