"""A stack that obeys the lens model is told from one that does not."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import (
    BokehStack,
    DepthMap,
    StackCalibration,
    calibrate_stack,
    render_bokeh,
)
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.depth.sweep.calibration import StackBlur
from bokehdepth_core.optics.aperture import DISC
from bokehdepth_core.optics.psf import LensBlur

SIZE = (97, 121)
STRENGTHS = (4.0, 8.0, 12.0)


def stack_of_radii(radii, strengths=STRENGTHS):
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, SIZE[0] // 2 + 1, SIZE[1] // 2 + 1, generator=generator)
    image = functional.interpolate(coarse, SIZE, mode="bilinear", align_corners=True)[0]
    spot = LensBlur(SIZE, 20, DISC, torch.device("cpu"))
    spectrum = spot.transform(srgb_to_linear(image))
    frames = torch.stack([linear_to_srgb(spot.blur(spectrum, r).clamp(0, 1)) for r in radii])
    return BokehStack(image.permute(1, 2, 0), frames.permute(0, 2, 3, 1), strengths)


def test_a_true_stack_is_linear_with_all_scales_one():
    found = calibrate_stack(stack_of_radii([2.0, 4.0, 6.0]))
    assert found.r_squared > 0.98
    assert found.frame_scales == pytest.approx((1, 1, 1), abs=0.06)
    assert found.confident_pixels > 500
    assert found.metric_scale is None


def test_a_shuffled_stack_is_not_linear():
    assert calibrate_stack(stack_of_radii([6.0, 2.0, 4.0])).r_squared < 0.3


def test_a_frame_of_another_strength_than_stated_shows_in_its_scale():
    scales = calibrate_stack(stack_of_radii([3.0, 4.0, 6.0])).frame_scales
    assert scales[0] / scales[2] == pytest.approx(1.5, rel=0.1)
    assert scales[1] / scales[2] == pytest.approx(1.0, rel=0.1)


def test_a_depth_map_ties_strength_to_metres():
    # Offset 0.5/m in the stack's own unit; true offset 0.25/m: the unit is worth 2 px·m.
    depth = DepthMap(torch.full((1, *SIZE), 4.0))
    found = calibrate_stack(stack_of_radii([2.0, 4.0, 6.0]), depth, focus_depth=2.0)
    assert found.metric_scale == pytest.approx(2.0, rel=0.05)
    assert "px·m" in found.summary


def test_the_focus_plane_is_found_with_the_scale():
    # Stripes at 4, 2 and 1 m before a lens of half the stated strength, focused at 2 m.
    depth = torch.ones(1, *SIZE)
    depth[:, :33], depth[:, 33:65] = 4.0, 2.0
    strengths = (16.0, 32.0)
    picture = stack_of_radii([1.0, 2.0], strengths).reference[None]
    frames = torch.cat([render_bokeh(picture, depth, k / 2, 2.0) for k in strengths])
    stack = BokehStack(picture[0], frames, strengths)
    found = calibrate_stack(stack, DepthMap(depth))
    assert found.metric_scale == pytest.approx(0.5, rel=0.1)
    assert found.focus_depth == pytest.approx(2.0, rel=0.1)
    assert found.summary.endswith(f", focus at {found.focus_depth:.3g} m")


def test_one_depth_alone_does_not_tell_the_scale():
    found = calibrate_stack(stack_of_radii([2.0, 4.0, 6.0]), DepthMap(torch.full((1, *SIZE), 4.0)))
    assert (found.metric_scale, found.focus_depth) == (None, None)


def test_the_summary_is_one_readable_line():
    text = StackCalibration(0.9876, (1.0, 1.02), 1234, 0.5).summary
    assert text == (
        "R² 0.988 of blur radius against strength over 1234 confident pixels; "
        "strength of frames x 1.00, 1.02; one unit of strength is 0.5 px·m"
    )


def test_few_pixels_give_no_number():
    text = StackCalibration(0.99, (1.0, 1.0), 199).summary
    assert text == (
        "only 199 confident pixels, of 200 that an R² takes: the calibration is not known"
    )


def test_a_stack_without_texture_says_that_nothing_is_known():
    flat = torch.full((40, 50, 3), 0.5)
    found = calibrate_stack(BokehStack(flat, flat.expand(2, -1, -1, -1), (1.0, 2.0)))
    assert (found.r_squared, found.confident_pixels) == (0.0, 0)
    assert "not known" in found.summary


def test_the_report_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        StackCalibration(1.0, (1.0,), 1).r_squared = 0.0


def test_one_strength_makes_no_line():
    with pytest.raises(ValueError, match=r"^strengths: found 1 different value, a line needs two"):
        calibrate_stack(stack_of_radii([2.0, 2.0], (4.0, 4.0)))


@pytest.mark.parametrize(
    ("depth", "focus_depth", "message"),
    [
        (DepthMap(torch.ones(1, *SIZE), metric=False), 2.0, r"^depth: holds normalised disparity"),
        (DepthMap(torch.ones(1, 5, 6)), 2.0, r"^depth: expected \[97, 121\] like the stack"),
        (DepthMap(torch.ones(2, *SIZE)), 2.0, r"^depth: expected \[1,H,W\], found \[2, 97, 121\]"),
        (DepthMap(torch.ones(1, *SIZE)), -1.0, r"^focus_depth: must be above 0"),
    ],
)
def test_a_depth_map_that_does_not_fit_is_refused(depth, focus_depth, message):
    with pytest.raises(ValueError, match=message):
        calibrate_stack(stack_of_radii([2.0, 4.0, 6.0]), depth, focus_depth)


def test_what_a_calibration_means_is_said_in_units_of_k():
    found = StackCalibration(0.97, (1.04, 1.0, 0.8), 900)
    assert found.measured_strengths((10, 20, 30)) == pytest.approx((10.4, 20, 24))
    said = found.in_words((10, 20, 30))
    assert said == "Measured against one another, K 10 came out as 10.4, K 20 as 20, K 30 as 24."
    close = StackCalibration(0.99, (1.02, 0.98), 900).in_words((10, 20))
    assert close == "Measured against one another, every K came out as asked for, within 5 %."
    metres = StackCalibration(0.95, (1.0, 1.0), 900, metric_scale=0.5, focus_depth=1.0)
    assert metres.in_words((10, 20)) == "By the depth, K 10 came out as 5, K 20 as 10."
    assert "hardly follows K" in StackCalibration(0.5, (1.0, 1.0), 900).in_words((10, 20))


@pytest.mark.parametrize("scales", [(1.0, float("nan")), (1.0, 0.0)])
def test_strengths_that_nothing_tells_are_not_made_up(scales):
    for found in (StackCalibration(0.9, scales, 900), StackCalibration(0.9, (1.0, 1.0), 199)):
        assert found.measured_strengths((10, 20)) is None
        assert found.in_words((10, 20)) == "What the strengths came out as is not known."


def test_monotony_and_slope_against_a_truth():
    radii = torch.tensor([2.0, 4.0])[:, None, None] * torch.ones(1, 20, 20)
    chosen = torch.ones(20, 20, dtype=torch.bool)
    strengths = torch.tensor([10.0, 20.0])
    truth = StackBlur(radii, radii[0] / 10, chosen, strengths)
    weak = StackBlur(0.8 * radii, 0.08 * radii[0], chosen, strengths)
    assert weak.slope_against(truth) == pytest.approx(0.8)
    assert (truth.monotony, StackBlur(radii.flip(0), truth.slope, chosen, strengths).monotony) == (
        1,
        0,
    )
    assert math.isnan(StackBlur(radii, truth.slope, ~chosen, strengths).slope_against(truth))


def test_what_is_sharp_tells_the_focus_plane_where_two_depths_leave_two_planes():
    """Walls at 0.5/m and 0.25/m are blurred as from a plane at 1/m, or 0.4/m at five times K."""
    plane = torch.full((1, 160, 200), 2.0)
    plane[:, :, 130:] = 4.0
    plane[:, 50:, 60:120] = 1.0
    noise = torch.rand(1, 3, 80, 100, generator=torch.Generator().manual_seed(0))
    photo = 0.15 + 0.7 * functional.interpolate(noise, (160, 200), mode="bicubic").clamp(0, 1)
    image = photo.movedim(1, -1)
    frames = torch.cat([render_bokeh(image, plane, strength, 1.0) for strength in STRENGTHS])
    found = calibrate_stack(BokehStack(image[0], frames, STRENGTHS), DepthMap(plane))
    assert found.focus_depth == pytest.approx(1.0, rel=0.05)
    assert found.metric_scale == pytest.approx(1.0, rel=0.1)
