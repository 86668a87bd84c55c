"""Thin-lens optics against the published numbers and the laws of the formula."""

import json
import math
from pathlib import Path

import pytest
import torch

from bokehdepth_core import (
    bokeh_strength_from_lens,
    coc_radius,
    defocus,
    f_number_from_bokeh_strength,
    focus_depth_at,
)
from bokehdepth_core.optics.thin_lens import as_focus_depth, sensor_width_mm

TABLE = json.loads(
    (Path(__file__).parents[1] / "data" / "lens_table.json").read_text(encoding="utf-8")
)
LENS = ("f_number", "focal_length_mm", "focal_length_35mm", "focus_distance_m", "width", "height")


@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: f"f{row['f_number']}")
def test_strength_and_sensor_width_equal_the_reference(row):
    strength = bokeh_strength_from_lens(*(row[name] for name in LENS))
    sensor = sensor_width_mm(*(row[name] for name in (LENS[1], LENS[2], LENS[4], LENS[5])))
    assert strength == pytest.approx(row["K_px_m"], rel=1e-12)
    assert sensor == pytest.approx(row["sensor_width_mm"], rel=1e-12)


@pytest.mark.parametrize("row", TABLE["rows"][::6], ids=lambda row: f"f{row['f_number']}")
def test_f_number_is_the_inverse_of_strength(row):
    lens = [row[name] for name in LENS]
    assert f_number_from_bokeh_strength(row["K_px_m"], *lens[1:]) == pytest.approx(lens[0])


def test_strength_is_the_blur_radius_that_a_thin_lens_makes():
    """A point at infinity, by similar triangles behind an opening of radius f / 2N."""
    f_number, focal, focus, width, height = 2.0, 0.05, 2.0, 6000, 4000
    opening = focal / f_number / 2  # radius, m
    image_distance = focal * focus / (focus - focal)
    radius_m = opening * (image_distance - focal) / focal  # sensor at v, the point's image at f
    sensor_m = sensor_width_mm(50, 50, width, height) / 1000
    expected_px = radius_m / sensor_m * width
    strength = bokeh_strength_from_lens(f_number, 50, 50, focus, width, height)
    assert strength * (1 / focus) == pytest.approx(expected_px)


@pytest.mark.parametrize("focus", [0.05, 0.02])
def test_focus_inside_the_focal_length_is_refused(focus):
    with pytest.raises(ValueError, match=r"focus_distance_m: 0.0\d m lies inside the focal length"):
        bokeh_strength_from_lens(1.8, 50, 50, focus, 512, 512)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("place", range(4))
def test_a_lens_value_that_cannot_be_is_named(place, bad):
    lens = [1.8, 50.0, 50.0, 2.0]
    lens[place] = bad
    if (LENS[place], bad) == ("focus_distance_m", math.inf):
        return  # a lens can be focused there
    with pytest.raises(ValueError, match=f"{LENS[place]}: "):
        bokeh_strength_from_lens(*lens, 512, 512)


def test_defocus_is_positive_in_front_and_linear_in_strength():
    depth = torch.tensor([[[1.0, 2.0, 4.0, math.inf]]])
    one = defocus(depth, 10.0, 2.0)
    assert one.tolist() == [[[5.0, 0.0, -2.5, -5.0]]]
    torch.testing.assert_close(defocus(depth, 20.0, 2.0), 2 * one)
    torch.testing.assert_close(coc_radius(depth, 10.0, 2.0), one.abs())


def test_focus_at_infinity_blurs_by_disparity_alone():
    depth = torch.tensor([[[0.5, 5.0, math.inf]]])
    assert coc_radius(depth, 10.0, math.inf).tolist() == [[[20.0, 2.0, 0.0]]]


def test_a_lens_focused_at_infinity_has_the_strength_it_nears_far_away():
    lens = {"f_number": 1.4, "focal_length_mm": 50.0, "focal_length_35mm": 50.0}
    lens |= {"width": 6000, "height": 4000}
    found = bokeh_strength_from_lens(focus_distance_m=math.inf, **lens)
    # f² / 2N in metres on the sensor; 36 mm of it are 6000 px (43.27 mm stand for its diagonal).
    assert found == pytest.approx(0.05**2 / 2.8 * 6000 / 0.036, rel=1e-3)
    # s / (s - f) at 1000 km is 1 + 5e-8.
    far = bokeh_strength_from_lens(focus_distance_m=1e6, **lens)
    assert found == pytest.approx(far, rel=1e-7)
    back = f_number_from_bokeh_strength(found, 50.0, 50.0, math.inf, 6000, 4000)
    assert back == pytest.approx(1.4)


def test_each_picture_of_a_batch_has_its_own_focus():
    depth = torch.full((2, 1, 1), 2.0)
    radius = coc_radius(depth, 10.0, torch.tensor([2.0, 1.0]))
    assert radius.flatten().tolist() == [0.0, 5.0]


def test_focus_depths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="focus_depth: 3 focus planes for a batch of 2"):
        as_focus_depth(torch.ones(3), 2)
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="focus_depth: must be positive"):
            as_focus_depth(bad, 2)


def test_focus_point_ignores_a_few_pixels_across_an_edge():
    depth = torch.full((1, 300, 300), 5.0)
    depth[:, :, :150] = 1.0
    near = focus_depth_at(depth, 149 / 300, 0.5)  # 1 px inside the near side
    far = focus_depth_at(depth, 152 / 300, 0.5)
    assert (near.item(), far.item()) == (1.0, 5.0)


@pytest.mark.parametrize("point", [(0, 0), (1, 1), (0, 1), (0.5, 0.5)])
@pytest.mark.parametrize("size", [(1, 1), (3, 517), (333, 7)])
def test_focus_point_works_at_corners_and_on_tiny_pictures(size, point):
    depth = torch.full((2, *size), 3.0)
    assert focus_depth_at(depth, *point).tolist() == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize(("x", "y", "name"), [(-0.1, 0, "focus_x"), (0, 1.5, "focus_y")])
def test_focus_point_outside_the_picture_is_refused(x, y, name):
    with pytest.raises(ValueError, match=rf"{name}: expected 0 to 1, found"):
        focus_depth_at(torch.ones(1, 4, 4), x, y)


def test_focus_mask_takes_the_median_of_what_it_covers_even_with_sky():
    depth = torch.full((2, 8, 8), math.inf)
    depth[0, :4] = torch.linspace(1, 2, 32).reshape(4, 8)
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    found = focus_depth_at(depth, 0.5, 0.5, mask)
    assert found[0] == pytest.approx(1.5, abs=0.05)
    assert found[1] == math.inf


def test_focus_mask_must_fit_and_choose_something():
    depth = torch.ones(1, 8, 8)
    with pytest.raises(ValueError, match=r"focus_mask: expected .* like depth"):
        focus_depth_at(depth, 0, 0, torch.ones(1, 4, 8))
    with pytest.raises(ValueError, match="focus_mask: no pixel is chosen"):
        focus_depth_at(depth, 0, 0, torch.zeros(1, 8, 8))
