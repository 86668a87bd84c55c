"""Cut-outs, hold-outs and linear light through the renderer."""

import math

import pytest
import torch

from bokehdepth_core import render_bokeh
from bokehdepth_core.color import convert_color

BLUE = torch.tensor([0.2, 0.3, 0.6])


def cut_out(background=0.0):
    """Return a blue card, its alpha, and depth: 1 m, infinity around it."""
    image, alpha = torch.full((1, 48, 64, 3), background), torch.zeros(1, 48, 64)
    image[:, 12:36, 20:44], alpha[:, 12:36, 20:44] = BLUE, 1.0
    image[:, 11], alpha[:, 11, 20:44] = background, 0.4  # a soft edge
    image[:, 11, 20:44] = BLUE
    return image, alpha, torch.where(alpha > 0, 1.0, math.inf)


def scene():
    torch.manual_seed(0)
    depth = torch.full((1, 40, 50), 4.0)
    depth[:, 10:30, 10:30] = 1.0
    return torch.rand(1, 40, 50, 3), depth


def test_a_picture_that_covers_all_is_the_same_with_alpha_and_without():
    image, depth = scene()
    plain = render_bokeh(image, depth, 8.0, 4.0)
    covered = render_bokeh(image, depth, 8.0, 4.0, alpha=torch.ones(1, 40, 50))
    # The fourth channel takes part in matting, where it has no contrast: only rounding differs.
    torch.testing.assert_close(covered[..., :3], plain, atol=1e-5, rtol=0)
    assert (covered[..., 3] - 1).abs().max() < 1e-5


@pytest.mark.parametrize("background", [0.0, 1.0])
@pytest.mark.parametrize("focus", [math.inf, 0.8, 0.4])
def test_no_colour_from_outside_of_a_cut_out_comes_in(background, focus):
    image, alpha, depth = cut_out(background)
    out = render_bokeh(image, depth, 5.0, focus, alpha=alpha)
    color, cover = out[..., :3], out[..., 3]
    # Where a step of 8 bits of it would show, the colour is the card's to half a step.
    assert (color[cover > 1 / 255] - BLUE).abs().max() < 0.5 / 255
    # Blur moves coverage, it makes none; the border of the picture is far enough away.
    assert float(cover.sum()) == pytest.approx(float(alpha.sum()), rel=2e-3)
    assert 0 <= float(cover.min()) <= float(cover.max()) <= 1


def test_a_cut_out_over_a_picture_is_that_scene_blurred():
    image, alpha, depth = cut_out()
    over = torch.full_like(image, 0.7)
    out = render_bokeh(image, depth, 6.0, math.inf, alpha=alpha)
    light = convert_color(out[..., :3], "sRGB", "linear Rec.709") * out[..., 3:]
    behind = convert_color(over, "sRGB", "linear Rec.709")
    composited = light + behind * (1 - out[..., 3:])
    whole = convert_color(image, "sRGB", "linear Rec.709") * alpha[..., None]
    whole = whole + behind * (1 - alpha[..., None])
    disc = render_bokeh(
        whole, torch.ones_like(depth), 6.0, math.inf, color_space="linear Rec.709"
    )  # the card's plane alone: an even backdrop is the same blurred
    # A hard edge overshoots by 0.3 % in a plain blur, as the PSF's transform ends at the pixel
    # grid; alpha ends at 1.
    torch.testing.assert_close(composited, disc, atol=2e-3, rtol=0)


def test_what_is_transparent_hides_nothing():
    image, alpha, depth = cut_out()
    depth[:, :, 44:] = 0.2  # depth of something that was cut away
    alone = render_bokeh(*cut_out()[::2], 2.0, 1.0, alpha=alpha)
    out = render_bokeh(image, depth, 2.0, 1.0, alpha=alpha)
    torch.testing.assert_close(out[..., 3], alone[..., 3])


def test_two_cut_outs_cover_each_other_by_their_own_coverage():
    image, alpha = torch.zeros(1, 40, 80, 3), torch.zeros(1, 40, 80)
    image[:, :, 10:36], alpha[:, :, 10:36] = torch.tensor([1.0, 0.0, 0.0]), 1.0
    image[:, :, 40:70], alpha[:, :, 40:70] = torch.tensor([0.0, 1.0, 0.0]), 1.0
    depth = torch.ones(1, 40, 80)
    depth[:, :, :38] = 0.5  # the gap belongs to no one, and hides none of the green one
    out = render_bokeh(image, depth, 8.0, 1.0, alpha=alpha)
    covered_by_red = out[0, 20, 40:70, 0].square().sum()
    assert out[0, 20, 48:60, 1].min() > 0.99
    assert out[0, 20, 45:70, 3].min() > 0.99
    assert covered_by_red < 3


def test_premultiplied_light_without_coverage_stays():
    light, alpha, depth = torch.zeros(1, 40, 40, 3), torch.zeros(1, 40, 40), torch.ones(1, 40, 40)
    light[:, 20, 20] = 7.0  # a glow: light that covers nothing, as EXR holds it
    out = render_bokeh(
        light, depth, 3.0, 2.0, alpha=alpha, premultiplied=True, color_space="linear Rec.709"
    )
    assert float(out[..., 3].max()) == 0


@pytest.mark.parametrize("quality", ["draft", "default"])
def test_a_held_out_region_is_kept_and_spills_over_nothing(quality):
    image, mask = torch.full((1, 40, 50, 3), 0.1), torch.zeros(1, 40, 50)
    mask[:, 10:30, 10:30] = 1.0
    image[:, 10:30, 10:30] = torch.rand(20, 20, 3)
    depth = torch.full((1, 40, 50), 4.0)
    depth[:, 10:30, 10:30] = 1.0
    out = render_bokeh(image, depth, 20.0, 2.0, hold_out=mask, quality=quality)
    assert torch.equal(out[mask > 0], image[mask > 0])
    torch.testing.assert_close(out[mask == 0], image[mask == 0], atol=1e-5, rtol=0)


def test_a_held_out_cut_out_is_kept_with_its_alpha():
    image, alpha, depth = cut_out()
    mask = torch.zeros_like(alpha)
    mask[:, :, :32] = 1.0
    out = render_bokeh(image, depth, 6.0, math.inf, alpha=alpha, hold_out=mask)
    expected = torch.cat([image, alpha[..., None]], dim=-1)
    assert torch.equal(out[:, :, :32], expected[:, :, :32])
    assert 0.1 < float(out[0, 24, 44, 3]) < 0.9  # the other half is blurred


@pytest.mark.parametrize("color_space", ["linear Rec.709", "ACEScg"])
def test_linear_light_comes_out_as_it_came_in(color_space):
    light, depth = scene()
    light = light * 2 - 0.1  # negative where a colour lies outside of Rec.709
    light[:, :, 40:] = 500.0
    assert torch.equal(render_bokeh(light, depth, 0.0, 4.0, color_space=color_space), light)
    focused = render_bokeh(light, depth, 4.0, 4.0, color_space=color_space)
    # The background is in focus at 4 m; the card's blur of 3 px ends long before.
    torch.testing.assert_close(focused[:, :, 40:], light[:, :, 40:], rtol=1e-6, atol=0)
    blurred = render_bokeh(light, depth, 4.0, 1.0, color_space=color_space)
    # Within a lamp a disc of 3 px sees lamp alone; float32 has 24 bits, the FFT costs some.
    torch.testing.assert_close(blurred[:, 10:30, 45:], light[:, 10:30, 45:], rtol=1e-5, atol=0)


def test_linear_light_and_its_srgb_give_the_same_picture():
    image, depth = scene()
    light = convert_color(image, "sRGB", "linear Rec.709")
    blurred = render_bokeh(light, depth, 8.0, 2.0, color_space="linear Rec.709")
    expected = convert_color(render_bokeh(image, depth, 8.0, 2.0), "sRGB", "linear Rec.709")
    torch.testing.assert_close(blurred, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color_space": "AdobeRGB"}, "color_space: unknown 'AdobeRGB'. Use one of sRGB, linear"),
        ({"alpha": torch.ones(1, 3, 3)}, r"alpha: expected \[1, 40, 50\] like the image"),
        ({"hold_out": torch.full((1, 40, 50), math.nan)}, "hold_out: holds NaN"),
    ],
)
def test_unusable_masks_and_spaces_are_named(options, message):
    image, depth = scene()
    with pytest.raises(ValueError, match=message):
        render_bokeh(image, depth, 8.0, 2.0, **options)
