"""The controls of a compositor's lens, through the whole renderer."""

import pytest
import torch

from bokehdepth_core import FocusControls, render_bokeh
from bokehdepth_core.optics.camera import intrinsics_from_focal_length, pixel_rays


def scene(height=36, width=52):
    torch.manual_seed(0)
    depth = torch.full((1, height, width), 4.0)
    depth[:, 10:26, 8:24] = 1.0
    return torch.rand(1, height, width, 3), depth


@pytest.mark.parametrize("quality", ["draft", "default"])
def test_controls_at_their_defaults_change_no_bit(quality):
    image, depth = scene()
    plain = render_bokeh(image, depth, 8.0, 2.0, quality=quality, highlight_boost=1.0)
    camera = intrinsics_from_focal_length(50.0, 52, 36)
    same = render_bokeh(
        image,
        depth,
        8.0,
        2.0,
        quality=quality,
        highlight_boost=1.0,
        highlight_threshold=0.75,
        controls=FocusControls(0.0, 1.0, 1.0, 0.0, 0.0, 0.0),
        intrinsics=camera,
    )
    assert torch.equal(plain, same)


def test_a_side_without_strength_stays_the_very_photo():
    image, depth = scene()
    out = render_bokeh(image, depth, 8.0, 1.0, controls=FocusControls(back_strength=0.0))
    assert torch.equal(out, image)
    out = render_bokeh(image, depth, 8.0, 4.0, controls=FocusControls(front_strength=0.0))
    assert torch.equal(out, image)


def test_what_the_zone_forgives_stays_the_very_photo():
    image, depth = scene()
    assert torch.equal(
        render_bokeh(image, depth, 8.0, 1.0, controls=FocusControls(focus_range=6.0)), image
    )


def test_multiplying_both_sides_is_multiplying_the_strength():
    image, depth = scene()
    twice = render_bokeh(image, depth, 4.0, 2.0, controls=FocusControls(0.0, 2.0, 2.0))
    assert torch.equal(twice, render_bokeh(image, depth, 8.0, 2.0))


def test_a_receding_wall_is_sharp_under_swing_and_blurred_without():
    camera = intrinsics_from_focal_length(50.0, 52, 36)
    rays = pixel_rays(camera, 36, 52)
    depth = 2.0 / (1 - 0.7 * rays[..., 0])  # Z = 2 m + 0.7 X, 35° to the side
    image, _ = scene()
    swing = float(torch.rad2deg(torch.atan(torch.tensor(0.7))))
    controls = FocusControls(swing=swing)
    out = render_bokeh(image, depth, 30.0, 2.0, controls=controls, intrinsics=camera)
    assert torch.equal(out, image)
    assert not torch.equal(render_bokeh(image, depth, 30.0, 2.0), image)


def test_a_higher_threshold_boosts_less_and_only_what_is_brighter():
    image, depth = torch.full((1, 24, 24, 3), 0.2), torch.full((1, 24, 24), 4.0)
    image[:, 10:13, 10:13] = 0.94  # 0.87 of white
    plain = render_bokeh(image, depth, 12.0, 1.0)
    low = render_bokeh(image, depth, 12.0, 1.0, highlight_boost=2.0)
    high = render_bokeh(image, depth, 12.0, 1.0, highlight_boost=2.0, highlight_threshold=0.95)
    assert torch.equal(high, plain)
    assert (low - plain).max() > 0.02


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), "bright"])
def test_a_bad_threshold_is_told(value):
    image, depth = scene()
    with pytest.raises(ValueError, match=r"^highlight_threshold: [^\n]+$"):
        render_bokeh(image, depth, 8.0, 2.0, highlight_threshold=value)


def test_tilt_without_a_camera_is_told():
    image, depth = scene()
    with pytest.raises(ValueError, match=r"^tilt: [^\n]+intrinsics[^\n]+$"):
        render_bokeh(image, depth, 8.0, 2.0, controls=FocusControls(tilt=10.0))
