"""The laws of a lens renderer, in every quality."""

import math

import pytest
import torch
from torch.nn import functional

from bokehdepth_core import Aperture, render_bokeh
from bokehdepth_core.color import linear_to_srgb, srgb_to_linear
from bokehdepth_core.demo.run import load_scene, psnr
from bokehdepth_core.optics.psf import LensBlur
from bokehdepth_core.render import picture as render
from bokehdepth_core.render.picture import QUALITIES

APERTURES = [Aperture(), Aperture(6, 15.0), Aperture(5, 40.0, 0.6)]
SRGB_ROUND_TRIP = 2e-6  # float32 through the curve and back, and one division by coverage


@pytest.fixture(params=list(QUALITIES))
def quality(request):
    return request.param


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def light_spot(height, width, color):
    """Return a dark picture with a round light of 1 px in its middle; `color` is linear light."""
    rows, columns = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    spot = torch.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / 2.0)
    return linear_to_srgb(spot[None, ..., None] * color)


def steps(height=61, width=83):
    """Two fronts over a far wall with a hole of sky."""
    depth = torch.full((1, height, width), 6.0)
    depth[:, :20, :20] = math.inf
    depth[:, 25:50, 10:30] = 1.0
    depth[:, 10:40, 50:70] = 2.5
    return depth


def test_no_strength_and_a_flat_scene_in_focus_return_the_very_same_picture(quality):
    image = noise(2, 33, 47, 3)
    depth = steps(33, 47).expand(2, -1, -1)
    assert torch.equal(render_bokeh(image, depth, 0.0, 2.0, quality=quality), image)
    flat = torch.full((2, 33, 47), 3.0)
    assert torch.equal(render_bokeh(image, flat, 30.0, 3.0, quality=quality), image)


@pytest.mark.parametrize("aperture", APERTURES)
@pytest.mark.parametrize("depth", [1.0, 4.0, math.inf])
def test_a_flat_scene_out_of_focus_is_convolved_with_the_aperture(quality, aperture, depth):
    image = noise(1, 45, 64, 3)
    out = render_bokeh(
        image, torch.full((1, 45, 64), depth), 8.0, 2.0, aperture=aperture, quality=quality
    )
    radius = 8.0 * (1 / depth - 1 / 2.0)
    margin = int(abs(radius) * aperture.support_radius) + 2
    psf = LensBlur((45, 64), margin, aperture, image.device)
    light = psf.blur(psf.transform(srgb_to_linear(image[0]).movedim(-1, 0)), radius)
    expected = linear_to_srgb(light.clamp(0, 1)).movedim(0, -1)
    # Rounding of float32 transforms of 45x64 values of order 1, steepened by the curve at black.
    torch.testing.assert_close(out[0], expected, atol=5e-5, rtol=0)


def disc_by_area(radius, finer=16):
    """Return a disc drawn on the pixel grid by area, [n,n], n odd, its sum 1."""
    side = math.ceil(radius + 1)
    line = (torch.arange((2 * side + 1) * finer) + 0.5) / finer - side - 0.5
    inside = (torch.hypot(line[:, None], line) < radius).float()
    kernel = functional.avg_pool2d(inside[None, None], finer)
    return kernel / kernel.sum()


def drawn_blur(light, radius):
    """Return light [3,1,H,W] convolved with a disc drawn by area."""
    kernel = disc_by_area(radius)
    return functional.conv2d(
        functional.pad(light, (kernel.shape[-1] // 2,) * 4, mode="reflect"), kernel
    )


def test_the_exact_disc_is_closer_to_a_finer_picture_than_one_drawn_by_area():
    fine = srgb_to_linear(load_scene().stack.reference).movedim(-1, 0)[:, None]
    light = functional.avg_pool2d(fine, 4)
    image, truth, drawn = (
        linear_to_srgb(one[:, 0].clamp(0, 1)).movedim(0, -1)
        for one in (light, functional.avg_pool2d(drawn_blur(fine, 6.0), 4), drawn_blur(light, 1.5))
    )
    ours = render_bokeh(image[None], torch.full((1, 128, 128), 1.0), 3.0, 2.0)[0]
    inner = (slice(8, -8), slice(8, -8))
    assert psnr(ours[inner], truth[inner]) > psnr(drawn[inner], truth[inner]) + 1


@pytest.mark.parametrize("aperture", APERTURES)
@pytest.mark.parametrize("strength", [3.0, 20.0, 400.0])
def test_a_picture_of_one_colour_stays_so(quality, aperture, strength):
    image = torch.tensor([0.2, 0.5, 0.8]).expand(1, 61, 83, 3).contiguous()
    for focus in (1.0, 2.5, math.inf):
        out = render_bokeh(image, steps(), strength, focus, aperture=aperture, quality=quality)
        torch.testing.assert_close(out, image, atol=1e-4, rtol=0)  # float32 FFT over coverage


def test_light_is_neither_made_nor_lost_away_from_the_frame(quality):
    image = light_spot(101, 121, torch.tensor([1.0, 0.5, 0.25]))
    before = srgb_to_linear(image).sum(dim=(1, 2))
    for aperture in APERTURES:
        out = render_bokeh(
            image, torch.full((1, 101, 121), 1.0), 20.0, 2.0, aperture=aperture, quality=quality
        )
        # What a band-limited spot ripples below zero is cut off; a light of 1 px has little of it.
        torch.testing.assert_close(srgb_to_linear(out).sum(dim=(1, 2)), before, rtol=5e-3, atol=0)


def test_values_above_one_are_light_too_and_keep_their_energy(quality):
    image = light_spot(91, 91, torch.full((3,), 500.0))
    out = render_bokeh(image, torch.full((1, 91, 91), 1.0), 16.0, 2.0, quality=quality)
    before, after = (float(srgb_to_linear(one).sum()) for one in (image, out))
    assert after == pytest.approx(before, rel=5e-3)
    assert out.max() > 1.0


def test_values_below_zero_stay_as_they_are_where_all_is_one_colour(quality):
    image = torch.full((1, 33, 47, 3), -0.1)
    out = render_bokeh(image, steps(33, 47), 9.0, 2.0, quality=quality)
    torch.testing.assert_close(out, image, atol=SRGB_ROUND_TRIP, rtol=0)


def test_a_speck_of_next_to_no_depth_spoils_nothing_else(quality):
    depth = torch.full((1, 33, 47), 2.0)
    depth[:, 5:9, 5:9] = 1e-25
    image = torch.full((1, 33, 47, 3), 0.5)
    out = render_bokeh(image, depth, 9.0, 1.0, quality=quality)
    torch.testing.assert_close(out, image, atol=SRGB_ROUND_TRIP, rtol=0)


def test_a_batch_gives_what_its_pictures_give_alone(quality):
    images, depths = (
        noise(3, 40, 51, 3),
        steps(40, 51).expand(3, -1, -1) * torch.tensor([1.0, 1.5, 2.0]).reshape(3, 1, 1),
    )
    focus = torch.tensor([1.0, 2.0, math.inf])
    together = render_bokeh(images, depths, 12.0, focus, quality=quality)
    for index in range(3):
        one = slice(index, index + 1)
        alone = render_bokeh(images[one], depths[one], 12.0, focus[one], quality=quality)
        assert torch.equal(together[one], alone)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (17, 33)])
def test_tiny_and_odd_pictures_survive_a_blur_larger_than_themselves(quality, size):
    image, depth = noise(1, *size, 3), torch.full((1, *size), 2.0)
    depth[:, :, size[1] // 2 :] = 0.5
    out = render_bokeh(image, depth, 100.0, 2.0, quality=quality)
    assert out.shape == image.shape
    assert torch.isfinite(out).all()
    assert (out >= 0).all()
    assert (out <= 1).all()


def test_a_sharp_front_does_not_bleed_onto_its_blurred_surroundings(quality):
    image = torch.zeros(1, 64, 64, 3)
    image[:, 20:44, 20:44, 0] = 1.0  # red square, in focus
    image[..., 1] = 0.3
    depth = torch.full((1, 64, 64), 8.0)
    depth[:, 20:44, 20:44] = 1.0
    out = render_bokeh(image, depth, 10.0, 1.0, quality=quality)
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[19:45, 19:45] = False
    assert out[0, ..., 0][outside].max() < 0.02
    torch.testing.assert_close(out[0, 22:42, 22:42], image[0, 22:42, 22:42], atol=0.01, rtol=0)


def test_a_blurred_front_spreads_over_the_sharp_background_and_lets_it_show(quality):
    image = torch.zeros(1, 64, 64, 3)
    image[..., 1] = 1.0  # green background, in focus
    image[:, 20:44, 20:44] = torch.tensor([1.0, 0.0, 0.0])
    depth = torch.full((1, 64, 64), 8.0)
    depth[:, 20:44, 20:44] = 1.0
    light = srgb_to_linear(render_bokeh(image, depth, 8.0, 8.0, quality=quality))[0]
    edge = light[32, 10:32]  # from background into the front, through the edge at 20; r = 7 px
    assert edge[0, 0] < 0.01
    assert 0.4 < edge[9:11, 0].mean() < 0.6  # half covered at the edge itself
    assert (edge[:, 0].diff() > -0.01).all()
    torch.testing.assert_close(edge[:, 0] + edge[:, 1], torch.ones(22), atol=0.02, rtol=0)


def test_doubling_the_strength_doubles_the_spot():
    image = light_spot(129, 129, torch.ones(3))
    depth = torch.full((1, 129, 129), 1.0)

    def spread(strength):
        light = srgb_to_linear(render_bokeh(image, depth, strength, 2.0))[0, :, :, 0]
        x = torch.arange(129.0) - 64
        return float((light.sum(0) * x**2).sum() / light.sum())

    # The variance of a disc along one axis is r²/4, and adds to that of the light itself.
    for strength, radius in ((24.0, 12.0), (48.0, 24.0)):
        assert 2 * (spread(strength) - spread(0.0)) ** 0.5 == pytest.approx(radius, rel=0.02)


def test_a_triangle_points_the_other_way_behind_the_focus_plane():
    image = torch.zeros(1, 81, 81, 3)
    image[0, 40, 40] = 1.0
    front, back = (
        render_bokeh(
            image, torch.full((1, 81, 81), depth), 30.0, focus, aperture=Aperture(3, 90.0)
        )[0]
        for depth, focus in ((1.0, 2.0), (2.0, 1.0))
    )
    torch.testing.assert_close(front, back.flip(0), atol=1e-3, rtol=0)
    assert (front - back).abs().max() > 0.02


def test_highlight_boost_brightens_clipped_lights_only_and_keeps_their_hue():
    image = torch.full((1, 61, 61, 3), 0.3)
    image[0, 30, 30] = torch.tensor([1.0, 0.9, 0.8])
    depth = torch.full((1, 61, 61), 1.0)
    plain, zero, boosted = (
        srgb_to_linear(render_bokeh(image, depth, 16.0, 2.0, highlight_boost=boost))[0]
        for boost in (0.0, 0.0, 10.0)
    )
    assert torch.equal(plain, zero)
    # Ripples around the spot: 1e-4 of a light of 10 over 200 px.
    torch.testing.assert_close(boosted[:10], plain[:10], atol=1e-3, rtol=0)
    base = srgb_to_linear(torch.tensor(0.3))
    source = srgb_to_linear(image[0, 30, 30])
    gained, had = boosted[30, 30] - base, plain[30, 30] - base
    # The whole pixel is boosted 11 times, the grey under it included.
    torch.testing.assert_close(
        gained / had, (11 * source - base) / (source - base), rtol=0.05, atol=0
    )
    sharp = render_bokeh(image, depth, 16.0, 1.0, highlight_boost=10.0)
    assert torch.equal(sharp, image)


def test_progress_rises_to_its_end_and_cancelling_stops():
    class StoppedError(Exception):
        pass

    seen = []
    image, depth = noise(2, 61, 83, 3), steps().expand(2, -1, -1)
    render_bokeh(image, depth, 10.0, 2.0, on_progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (200, 200)

    def stop():
        raise StoppedError

    with pytest.raises(StoppedError):
        render_bokeh(image, depth, 10.0, 2.0, check_cancelled=stop)


def test_a_cancel_is_seen_before_the_first_slice(monkeypatch):
    asked = []
    monkeypatch.setattr(render, "composite_front_to_back", lambda *args, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render_bokeh(
            noise(1, 61, 83, 3), steps(), 10.0, 2.0, check_cancelled=lambda: asked.append(1)
        )
    assert len(asked) > 20


def test_inputs_are_left_alone():
    image, depth = noise(1, 61, 83, 3), steps()
    kept = image.clone(), depth.clone()
    render_bokeh(image, depth, 10.0, 2.0, highlight_boost=3.0)
    assert torch.equal(image, kept[0])
    assert torch.equal(depth, kept[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": -1.0}, r"strength: expected 0 to 1e\+08, found -1"),
        ({"strength": math.nan}, r"strength: expected a finite number, found nan"),
        ({"highlight_boost": -1.0}, r"highlight_boost: expected 0 to 1000, found -1"),
        ({"focus_depth": 0.0}, r"focus_depth: must be positive"),
        ({"quality": "best"}, r"quality: unknown 'best'. Use one of draft, default, final"),
        ({"depth": torch.ones(1, 4, 4)}, r"depth: expected \[1, 61, 83\] like the image"),
        ({"depth": -torch.ones(1, 61, 83)}, r"depth: must be positive"),
        ({"image": torch.ones(1, 61, 83, 4)}, r"image: expected \[B,H,W,3\], found"),
        ({"image": torch.ones(0, 61, 83, 3)}, r"image: is empty"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"image": noise(1, 61, 83, 3), "depth": steps(), "strength": 5.0, "focus_depth": 2.0}
    with pytest.raises(ValueError, match=message):
        render_bokeh(**(given | change))


def test_a_lamp_behind_a_sharp_edge_gives_no_more_light_than_it_has(quality):
    lamp = light_spot(91, 91, torch.full((3,), 300.0)) + 0.2
    dark = torch.full((1, 91, 91, 3), 0.2)
    depth = torch.full((1, 91, 91), 8.0)
    depth[:, :, 52:] = 1.0  # a sharp wall beside the lamp hides some of its blurred spot
    light = [
        float(srgb_to_linear(render_bokeh(image, depth, 12.0, 1.0, quality=quality)).sum())
        for image in (lamp, dark)
    ]
    given = float((srgb_to_linear(lamp) - srgb_to_linear(dark)).sum())
    # The lamp at column 45.5 is 6.5 px from the wall: 0.867 of a disc of radius 10.5 px is seen.
    # A draft loses up to a pixel's column at the wall, 16 px long, of the disc's 346 px.
    tolerance = 0.05 if quality == "draft" else 0.02
    assert light[0] - light[1] == pytest.approx(0.867 * given, rel=tolerance)


@pytest.mark.parametrize("anamorphic", [0.25, 4.0])
def test_a_squeezed_spot_does_not_come_back_at_the_other_side(quality, anamorphic):
    image = torch.zeros(1, 64, 64, 3)
    image[:, :3, :3] = 1.0
    out = render_bokeh(
        image,
        torch.full((1, 64, 64), 1.0),
        12.0,
        math.inf,
        aperture=Aperture(anamorphic=anamorphic),
        quality=quality,
    )
    assert out[:, :, 40:].max() < 0.02
    assert out[:, 40:].max() < 0.02
