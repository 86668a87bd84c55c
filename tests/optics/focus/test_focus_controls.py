"""The laws of the sharp zone, front and back, the largest radius and the unit of strength."""

import math

import pytest
import torch

from bokehdepth_core.optics.focus.controls import (
    FocusControls,
    controlled_defocus,
    strength_in_px,
)
from bokehdepth_core.optics.thin_lens import defocus

RADII = torch.linspace(-200, 200, 40001, dtype=torch.float64)


def test_controls_that_are_off_leave_every_bit():
    depth = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(0)) * 9 + 0.3
    off = FocusControls(0.0, 1.0, 1.0, 0.0)
    assert torch.equal(controlled_defocus(depth, 30.0, 2.0, off), defocus(depth, 30.0, 2.0))


@pytest.mark.parametrize("zone", [0.3, 4.0, 25.0])
def test_the_zone_is_sharp_and_blur_begins_gently_and_ends_as_the_lens_has_it(zone):
    out = FocusControls(focus_range=zone).change(RADII)
    assert (out[RADII.abs() <= zone] == 0).all()
    slope = out.diff() / RADII.diff()
    assert slope.min() >= 0
    assert slope.max() <= 1.45 + 1e-6  # 1 + 2 exp(-3/2) = 1.4463
    step = RADII[1] - RADII[0]
    # The second derivative is at most 3 / zone, so the slope grows by no more within one step.
    assert slope.diff().abs().max() <= 3.01 * step / zone
    far = RADII.abs() >= 8 * zone
    # (1 + 2 t) exp(-t) at t = 7 is 0.0137 zones.
    torch.testing.assert_close(out[far], RADII[far], atol=0.0137 * zone, rtol=0)
    torch.testing.assert_close(out, -out.flip(0))


def test_front_and_back_are_multiplied_alone():
    out = FocusControls(front_strength=0.25, back_strength=3.0).change(RADII)
    torch.testing.assert_close(out, torch.where(RADII > 0, RADII / 4, RADII * 3))
    assert (FocusControls(front_strength=0.0).change(RADII)[RADII > 0] == 0).all()


def test_the_zone_stays_where_it_is_while_front_and_back_are_turned():
    for factor in (0.2, 1.0, 5.0):
        out = FocusControls(3.0, factor, factor).change(RADII)
        assert torch.equal(out == 0, RADII.abs() <= 3.0)


@pytest.mark.parametrize("largest", [0.5, 10.0, 60.0])
def test_the_largest_radius_compresses_and_does_not_clip(largest):
    out = FocusControls(max_radius=largest).change(RADII)
    assert out.abs().max() <= largest
    small = RADII.abs() <= largest / 2
    assert torch.equal(out[small], RADII[small])
    near = RADII.abs() <= 10 * largest  # farther out float64 holds no difference to the limit
    assert (out[near].diff() > 0).all()
    slope = out.diff() / RADII.diff()
    assert slope.max() <= 1 + 1e-9  # no jump at the knee
    assert torch.equal(
        FocusControls(max_radius=largest).change(torch.tensor([math.inf, -math.inf])),
        torch.tensor([largest, -largest]),
    )


def test_controls_take_a_picture_without_bounds():
    signed = torch.tensor([1e30, -1e30, 0.0])
    out = FocusControls(2.0, 0.5, 0.5, 0.0).change(signed)
    torch.testing.assert_close(out, signed / 2)


def test_twice_the_width_in_percent_is_twice_every_radius():
    depth = torch.rand(1, 20, 30, generator=torch.Generator().manual_seed(1)) * 9 + 0.3
    small, large = (
        controlled_defocus(depth, strength_in_px(2.5, "% of width", width), 2.0)
        for width in (640, 1280)
    )
    assert torch.equal(large, 2 * small)
    assert strength_in_px(16.0, "px·m", 640) == strength_in_px(2.5, "% of width", 640) == 16.0


@pytest.mark.parametrize("name", ["focus_range", "front_strength", "back_strength", "max_radius"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "wide"])
def test_bad_values_are_told_by_their_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: [^\n]+$"):
        FocusControls(**{name: value})


@pytest.mark.parametrize(
    ("name", "largest"),
    [("focus_range", 1e3), ("front_strength", 10), ("back_strength", 10), ("max_radius", 1e4)],
)
def test_values_go_as_far_as_the_sliders_of_the_node(name, largest):
    FocusControls(**{name: largest})
    with pytest.raises(ValueError, match=f"^{name}: expected 0 to {largest:g}, found 1e[+]30"):
        FocusControls(**{name: 1e30})


def test_an_unknown_unit_is_told():
    with pytest.raises(ValueError, match=r"^strength_unit: unknown 'mm'. Use one of px·m, % of "):
        strength_in_px(1.0, "mm", 100)
