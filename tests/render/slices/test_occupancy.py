"""Slices are blurred only where they lie; the picture is that of slices blurred as a whole."""

import pytest
import torch

from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.boxes import common_part
from bokehdepth_core.optics.psf import LensBlur
from bokehdepth_core.render.slices import compositing, occupancy

CPU = torch.device("cpu")
# The PSF's ringing beyond 16 px is left out; it is largest beside slices of noise.
LEFT_OUT = 2.5e-3


def noise(*size):
    return torch.rand(*size, generator=torch.Generator().manual_seed(3))


def as_one(found, index, reach):
    """Return the only part of a slice, in place of `Occupancy.parts`."""
    return [found.boxes[index]]


def things(height, width):
    """Return depth, m, of a wall behind a slanted floor, a thing in a corner and one amid."""
    depth = torch.full((1, height, width), 6.0)
    depth[0, height // 2 :] = torch.linspace(6, 2, height - height // 2)[:, None]
    depth[0, :20, :25], depth[0, 30:50, 40:60] = 1.0, 1.3
    return depth


@pytest.mark.parametrize("aperture", [Aperture(), Aperture(5, 20.0, 0.7)], ids=["disc", "polygon"])
@pytest.mark.parametrize("light", [1.0, 20.0])
def test_a_picture_is_that_of_slices_blurred_as_a_whole(monkeypatch, aperture, light):
    image, depth = light * noise(1, 91, 126, 3), things(91, 126)

    def render():
        return render_bokeh(image, depth, 9.0, 3.0, aperture=aperture, color_space="linear Rec.709")

    found = render()
    whole = (slice(0, 91), slice(0, 126))
    monkeypatch.setattr(occupancy, "_box_of_lines", lambda there, height: whole)
    monkeypatch.setattr(occupancy.Occupancy, "parts", as_one)
    torch.testing.assert_close(found, render(), atol=LEFT_OUT * light, rtol=0)


@pytest.mark.parametrize("radius", [0.6, 7.0, -12.5])
@pytest.mark.parametrize(
    "held",
    [
        (slice(0, 30), slice(0, 20)),
        (slice(30, 50), slice(60, 70)),
        (slice(60, 90), slice(0, 110)),
        (slice(0, 90), slice(70, 110)),
        (slice(0, 90), slice(0, 110)),
    ],
)
def test_a_part_is_blurred_as_in_the_whole(radius, held):
    blur = LensBlur((90, 110), 14, Aperture(3, 10.0), CPU)
    planes = torch.zeros(2, 90, 110)
    planes[(slice(None), *held)] = noise(2, 90, 110)[(slice(None), *held)]
    rows, columns = blur.place_around(held, radius)
    found = blur.convolve(planes[:, rows, columns], radius, (rows, columns))
    wanted = blur.convolve(planes, radius)[:, rows, columns]
    torch.testing.assert_close(found, wanted, atol=LEFT_OUT, rtol=0)


def test_a_slice_without_pixels_has_no_box():
    covered = torch.ones(40, 40)
    covered[:20] = 0
    defocus = torch.full((40, 40), 2.0)
    layer = occupancy.Layer(torch.zeros(3, 40, 40), defocus, covered)
    boxes = [one[0] for one in occupancy.Occupancy([layer], [0.0, 1.0, 2.0, 3.0]).boxes]
    lower = (slice(20, 40), slice(0, 40))
    assert boxes == [None, lower, lower, None]


@pytest.mark.parametrize("light", [1.0, 20.0])
def test_parts_that_lie_apart_are_blurred_apart(monkeypatch, light):
    """Two things of one depth in opposite corners, and one beside the first."""
    image, depth = light * noise(1, 160, 200, 3), torch.full((1, 160, 200), 6.0)
    depth[0, :30, :25] = depth[0, 130:, 150:] = 1.0
    depth[0, 5:20, 90:100] = 1.05
    cut = []
    parted = compositing._parts_of_slice

    def noted(*slice_of):
        cut.append(parted(*slice_of))
        return cut[-1]

    monkeypatch.setattr(compositing, "_parts_of_slice", noted)

    def render():
        return render_bokeh(image, depth, 6.0, 6.0, color_space="linear Rec.709")

    found = render()
    assert max(map(len, cut)) == 3
    for parts in cut:
        for index, (one, _) in enumerate(parts):
            assert all(common_part(one, other) is None for other, _ in parts[:index])
    monkeypatch.setattr(occupancy.Occupancy, "parts", as_one)
    torch.testing.assert_close(found, render(), atol=LEFT_OUT * light, rtol=0)
