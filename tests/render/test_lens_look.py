"""Lens looks: laws of the fringe, of own openings and of swirl."""

import math
from dataclasses import replace

import pytest
import torch

from bokehdepth_core import (
    LENS_LOOKS,
    Aperture,
    Lens,
    bokeh_strength_from_lens,
    focus_track,
    lens_look,
    render_bokeh,
    render_focus_pull,
    render_lens_look,
)
from bokehdepth_core.color import linear_to_srgb
from bokehdepth_core.optics.aperture_picture import AperturePicture
from bokehdepth_core.optics.pupil import aperture_mask

LINEAR = {"color_space": "linear Rec.709"}


def opening(side=256):
    """Return the picture of a disc that touches its sides, [side,side,3], sRGB."""
    at = torch.arange(side) - (side - 1) / 2
    inside = side / 2 - torch.hypot(at[:, None], at[None, :]) + 0.5
    return linear_to_srgb(inside.clamp(0, 1))[..., None].expand(-1, -1, 3)


def psnr(one, other):
    return -10 * math.log10(float((one - other).square().mean()))


@pytest.fixture(scope="module")
def scene():
    torch.manual_seed(0)
    depth = torch.full((1, 40, 56), 4.0)
    depth[:, 10:34, 14:38] = 1.0
    return torch.rand(1, 40, 56, 3), depth


def lamp(depth=1.0, size=72):
    """Return linear light of a soft lamp in the middle, far from the borders, and its depth."""
    at = torch.arange(size) - size / 2
    light = torch.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / 8)
    image = light[None, ..., None] * torch.tensor([0.9, 0.7, 0.5])
    return image, torch.full((1, size, size), depth)


def test_the_plain_lens_is_the_plain_render_to_the_last_bit(scene):
    photo, depth = scene
    plain = render_bokeh(photo, depth, 6.0, 1.0)
    assert torch.equal(render_lens_look(Lens(), photo, depth, 6.0, 1.0), plain)
    assert torch.equal(render_lens_look(lens_look(), photo, depth, 6.0, 1.0), plain)
    hexagon = Aperture(6, 10.0)
    bladed = render_lens_look(Lens().changed(hexagon), photo, depth, 6.0, 1.0)
    assert torch.equal(bladed, render_bokeh(photo, depth, 6.0, 1.0, aperture=hexagon))


@pytest.mark.parametrize("plane", [2.0, math.inf, 0.6])
def test_fringe_keeps_the_energy_of_each_channel(plane):
    image, depth = lamp()
    plain = render_lens_look(Lens(), image, depth, 9.0, plane, **LINEAR).sum((0, 1, 2))
    lens = lens_look(fringe=20.0)
    out = render_lens_look(lens, image, depth, 9.0, plane, **LINEAR)
    # All of it is that of the lamp; what rings below 0 is cut, up to 2 % of a bright lamp.
    torch.testing.assert_close(out.sum((0, 1, 2)), plain, rtol=0.02, atol=0)
    torch.testing.assert_close(out.sum((0, 1, 2)), image.sum((0, 1, 2)), rtol=0.03, atol=0)


def test_fringe_is_a_focus_plane_for_each_channel():
    image, depth = lamp(2.0)
    out = render_lens_look(lens_look(fringe=10.0), image, depth, 40.0, 2.0, **LINEAR)
    # Green is sharp; red and blue are blurred as if 0.1/m nearer: 40·0.1 = 4 px.
    nearer = render_bokeh(image, torch.full_like(depth, 1 / 0.6), 40.0, 2.0, **LINEAR)
    assert torch.equal(out[..., 1], image[..., 1])
    torch.testing.assert_close(out[..., [0, 2]], nearer[..., [0, 2]], atol=1e-5, rtol=0)
    nothing = render_lens_look(lens_look(fringe=10.0), image, depth, 0.0, 2.0, **LINEAR)
    assert torch.equal(nothing, image)


def test_fringe_works_where_depth_or_focus_is_infinite(scene):
    photo, depth = scene
    far = depth.clone()
    far[:, :5] = math.inf
    out = render_lens_look(lens_look(fringe=3.0), photo, far, 6.0, math.inf)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("strength", [1.5, 6.0, 14.0])
def test_a_picture_of_a_disc_is_the_disc_within_50_db(scene, strength):
    photo, depth = scene
    own = lens_look(aperture_image=opening())
    disc = render_bokeh(photo, depth, strength, 2.0)
    assert psnr(render_lens_look(own, photo, depth, strength, 2.0), disc) > 50


def test_an_own_opening_is_upright_behind_the_focus_and_turned_before_it():
    half = torch.zeros(64, 64, 3)
    half[:32] = 1.0  # light in the upper half
    lens = lens_look(aperture_image=half)
    image, depth = lamp()
    rows = torch.arange(72.0) - 36
    for plane, sign in ((0.5, -1), (math.inf, 1)):  # the lamp behind, and in front of the focus
        out = render_lens_look(lens, image, depth, 12.0, plane, **LINEAR)[0].sum((1, 2))
        assert sign * float((out * rows).sum() / out.sum()) > 3


def test_a_coloured_opening_has_a_psf_for_each_channel_and_keeps_white_balance():
    own = opening(64).clone()
    own[:, :32, 0] = 0.0  # no red on the left
    image, depth = lamp()
    out = render_lens_look(lens_look(aperture_image=own), image, depth, 12.0, 0.5, **LINEAR)[0]
    columns = torch.arange(72.0) - 36
    middle = (out.sum(0) * columns[:, None]).sum(0) / out.sum((0, 1))
    assert middle[0] > 3
    assert middle[1:].abs().max() < 0.5
    torch.testing.assert_close(out.sum((0, 1)), image.sum((0, 1, 2)), rtol=0.03, atol=0)


def test_openings_that_let_nothing_through_are_refused():
    with pytest.raises(ValueError, match="aperture_image: its red is black everywhere"):
        AperturePicture.of(torch.zeros(8, 8, 3))
    with pytest.raises(ValueError, match=r"aperture_image: expected \[H,W,3\], found \[8, 8\]"):
        lens_look(aperture_image=torch.ones(8, 8))


def test_swirl_makes_leaves_that_stand_around_the_middle():
    lens, size = Aperture(swirl=0.7), 256
    mask = aperture_mask(lens, size, True, leaf=(0.0, 0.6))  # to the right of the middle
    assert float(mask.sum()) == pytest.approx(1, abs=1e-5)
    lit = mask > 0
    high, wide = lit.any(1).sum() / (size - 2), lit.any(0).sum() / (size - 2)
    # Two circles moved by ±s overlap in 1 − s across, and √(1 − s²) along, of the disc.
    assert float(wide) == pytest.approx(0.4, abs=0.02)
    assert float(high) == pytest.approx(0.8, abs=0.02)
    assert torch.equal(aperture_mask(lens, size, True), aperture_mask(Aperture(), size, True))


def test_a_lens_in_millimetres_gives_its_strength():
    lens = lens_look("soft portrait", f_number=1.8, focal_length_mm=85.0)
    assert lens.strength(2.0, 1200, 800) == bokeh_strength_from_lens(1.8, 85, 85, 2.0, 1200, 800)
    assert not lens_look().has_strength
    with pytest.raises(ValueError, match=r"f_number: 1\.8 given"):
        lens_look(f_number=1.8)


@pytest.mark.parametrize("name", LENS_LOOKS)
def test_every_look_keeps_light_and_says_all_its_parameters(name):
    lens = lens_look(name)
    image, depth = lamp()
    # A barrel's cut changes over the picture: where blurs of different shape meet, light is shared
    # out anew, so this law is that of one shape.
    even = replace(lens, aperture=replace(lens.aperture, cat_eye=0.0, swirl=0.0))
    lit = image + 0.1  # so that what rings beside the lamp is not cut at black
    out = render_lens_look(even, lit, depth, 8.0, math.inf, **LINEAR) - 0.1
    torch.testing.assert_close(out.sum((0, 1, 2)), image.sum((0, 1, 2)), rtol=0.01, atol=0)
    words = ("blades", "disc"), ("anamorphic",), ("obstruction",), ("spherical",), ("cat eye",)
    for either in (*words, ("swirl",), ("fringe",), ("strength",), (name,)):
        assert any(word in lens.summary for word in either)
    changed = lens_look(name, fringe=2.5, obstruction=0.25, swirl=0.125)
    assert all(value in changed.summary for value in ("2.5", "0.25", "0.125"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "lens baby"}, "preset: unknown 'lens baby'"),
        ({"fringe": 99.0}, "fringe: expected 0 to 50, found 99"),
        ({"swirl": 0.9}, "swirl: expected 0 to 0.8, found 0.9"),
        ({"obstruction": 1.0}, "obstruction: expected 0 to 0.9, found 1"),
        ({"focal_length_mm": 50.0}, "focal_length_mm: 50 given without f_number"),
    ],
)
def test_unusable_looks_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        lens_look(**wrong)


def test_a_focus_pull_takes_a_look(scene):
    photo, depth = scene
    track, lens = focus_track(depth, "0: 1 m; 1: 4 m"), lens_look("cinema hexagon")
    frames = list(render_focus_pull(photo, depth, 5.0, track, look=lens))
    wanted = render_lens_look(lens, photo, depth, 5.0, 1.0)
    # Depth is refined once for the clip, and once for each pass of a picture.
    torch.testing.assert_close(frames[0], wanted, atol=2e-3, rtol=0)
