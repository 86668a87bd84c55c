"""What the renderer's tuned constants decide: each test fails if its constant moves by a fifth."""

import math

import pytest
import torch
import torch.nn.functional as F

from bokehdepth_core import render_bokeh
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.demo.run import load_scene, psnr
from bokehdepth_core.render.scene.depth_edges import refine_depth


@pytest.fixture(scope="module")
def demo():
    return load_scene()


def coarser(depth):
    """Return depth as from a network at a quarter of the size."""
    small = F.interpolate(1 / depth[None], scale_factor=1 / 4, mode="area")
    return 1 / F.interpolate(small, size=depth.shape[1:], mode="bilinear")[0]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"quality": "default"}, 33.67),
        ({"quality": "draft"}, 31.26),
        ({"coarse": True}, 33.49),
        ({"highlight_boost": 1.0}, 35.30),
    ],
    ids=["default", "draft", "coarse depth", "boost"],
)
def test_the_demo_scene_refocused_is_as_close_to_the_traced_truth_as_ever(demo, options, wanted):
    options = dict(options)
    depth = coarser(demo.depth) if options.pop("coarse", False) else demo.depth
    image = demo.stack.reference[None]
    out = render_bokeh(image, depth, demo.refocus_strength, demo.refocus_depth, **options)
    # Rounding of float32 moves it by less than 0.001 dB; other tests here are finer than this one.
    assert psnr(out[0], demo.refocused) == pytest.approx(wanted, abs=0.02)


def near_width(edge_of_color, width=8.0, shifts=32):
    """Return how far a near thing reaches into a ramp, 0 (near end)…1, mean over shifts.

    A ramp of disparity leads from a red near thing to a blue wall. The picture's edge lies at
    `edge_of_color` of it.
    """
    reached = 0.0
    columns = torch.arange(48) + 0.5
    for shift in range(shifts):
        position = (columns - 20 - shift / shifts) / width
        disparity = 1.0 - 0.8 * position.clamp(0, 1)
        red, blue = torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.2, 0.8])
        image = torch.where((position < edge_of_color)[:, None], red, blue)[None, None]
        refined = refine_depth(image.expand(1, 5, -1, -1), (1 / disparity).expand(1, 5, -1))
        near = (refined[0, 2] < 2.5).sum()
        reached += float((near - (20 + shift / shifts)) / width) / shifts
    return reached


def test_colour_that_speaks_as_clearly_as_it_can_moves_an_edge_by_a_fifth_of_its_ramp():
    # Near from w logit(t) > log(1.1 / 0.1): with w = 3 from t = 0.69, which is 0.31 from the near
    # end; w = 2.4 gives 0.27 and w = 3.6 gives 0.34. Columns and shifts are 1/256 of a ramp apart.
    threshold = 1 / (1 + math.exp(-math.log(1.1 / 0.1) / 3.0))
    assert near_width(0.25) == pytest.approx(1 - threshold, abs=0.01)
    assert near_width(0.75) == pytest.approx(threshold, abs=0.01)


def stripes(height, width):
    """Return a picture [1,H,W,3] of black and grey rows: the finest detail there is."""
    rows = torch.where(torch.arange(height) % 2 == 0, 0.0, 0.5)
    return rows[None, :, None, None].expand(1, height, width, 3).contiguous()


def test_detail_of_a_draft_fades_from_where_it_is_sharp_to_two_px_of_blur():
    image, radius = stripes(32, 200), torch.linspace(-4.0, 0.0, 200)
    depth = (12.0 / (12.0 + radius)).expand(1, 32, -1)  # defocus at K = 12, focused at 1 m
    light = srgb_to_linear(render_bokeh(image, depth, 12.0, 1.0, quality="draft"))[0, 12:20, :, 0]
    contrast = (light[1::2] - light[0::2]).mean(0) / srgb_to_linear(torch.tensor(0.5))
    # Half the size holds the mean of two rows alone: all contrast comes from the full size.
    wanted = (1 - (radius.abs() - 0.25) / 1.75).clamp(0, 1)
    torch.testing.assert_close(contrast, wanted, atol=0.02, rtol=0)


@pytest.mark.parametrize(("radius", "covers"), [(1.8, False), (2.2, True)])
def test_a_draft_blurs_a_front_over_what_is_in_focus_from_two_px_of_blur(radius, covers):
    image = torch.full((1, 48, 48, 3), 0.2)
    image[:, :, :24] = 0.8
    depth = torch.full((1, 48, 48), 1e6)
    depth[:, :, :24] = 1.0
    out = srgb_to_linear(render_bokeh(image, depth, radius, 1e6, quality="draft"))[0, 24, :, 0]
    beside, wall = out[24], srgb_to_linear(torch.tensor(0.2))
    spread = (beside - wall) / (srgb_to_linear(torch.tensor(0.8)) - wall)
    # The middle of that pixel is 0.5 px from the edge: a third of a disc of 2.2 px lies beyond.
    assert spread == pytest.approx(0.35 if covers else 0.0, abs=0.08)


@pytest.mark.parametrize("light", [0.6, 0.74, 0.8, 0.86])
def test_a_lamp_is_boosted_from_three_quarters_of_white(light):
    excess = max(0.0, (light - 0.75) / 0.25)  # a smooth step, 3x² - 2x³, of this
    wanted = 0.2 * excess * excess * (3 - 2 * excess)
    assert boosted(light, 5.0) == pytest.approx(wanted, abs=1e-3)


def boosted(light, radius):
    """Return by what share a lamp of 3 x 3 px is brighter when boosted by 0.2, blurred, px."""
    source = torch.full((1, 40, 40, 3), 0.05)
    source[:, 19:22, 19:22] = light
    image, depth = linear_to_srgb(source), torch.full((1, 40, 40), 1.0)
    plain, brighter = (
        srgb_to_linear(render_bokeh(image, depth, 2 * radius, 2.0, highlight_boost=boost))
        for boost in (0.0, 0.2)
    )
    return float((brighter - plain)[..., 0].sum()) / (9 * light)


def test_a_lamp_is_boosted_in_full_from_two_px_of_blur():
    full = boosted(0.86, 5.0)
    for radius, wanted in ((0.5, 0.25), (1.0, 0.5), (1.8, 0.9), (2.0, 1.0)):
        assert boosted(0.86, radius) / full == pytest.approx(wanted, abs=0.02)
